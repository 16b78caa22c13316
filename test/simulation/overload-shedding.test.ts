/**
 * The bars of overload shedding, held by the compiled policy in simulated time: one run is one seed, a figure is the median of
 * several. The application has four slots of 10 ms, hence 400 requests a second, unless a test says otherwise.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Figures, figures, loadShedding, type Result, recovery, type Scenario, simulate } from './shedding.ts';

type Module = Awaited<ReturnType<typeof loadShedding>>;
type Case = Omit<Scenario, 'seed' | 'exact' | 'workers'>;

const SEEDS = [1, 2, 3];
const CAPACITY = 400;
const SERVER = { slots: 4, serviceMs: 10, seconds: 18 };
/** When the load changes. */
const STEP = 8;

let module: Module;

beforeAll(async () => {
  module = await loadShedding();
}, 240_000);

/** Half the capacity, then a multiple of it. */
const stepTo =
  (factor: number, capacity = CAPACITY) =>
  (t: number): number =>
    t < STEP ? capacity / 2 : capacity * factor;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function runs(scenario: Case, exact: boolean, workers: number, seeds: readonly number[] = SEEDS): Result[] {
  return seeds.map((seed) => simulate(module, { ...scenario, seed, exact, workers }));
}

function medians(results: readonly Result[], from: number, to: number): Figures {
  const all = results.map((result) => figures(result, from, to));
  const of = (key: keyof Figures): number => median(all.map((one) => one[key]));
  return {
    offered: of('offered'),
    goodput: of('goodput'),
    refused: of('refused'),
    coreShare: of('coreShare'),
    p99: of('p99'),
  };
}

const refusals = (results: readonly Result[]): number[] =>
  results.map(({ bins }) => bins.reduce((sum, bin) => sum + bin.refused, 0));

it('an unprotected instance collapses: the measure can fail', () => {
  const [result] = runs({ ...SERVER, offered: stepTo(2), unprotected: true }, true, 1, [1]);
  expect(result === undefined ? Number.NaN : figures(result, STEP + 2, 18).goodput).toBeLessThan(CAPACITY / 10);
});

const MODES = [
  ['exact', 1],
  ['exact', 2],
  ['inferred', 1],
  ['inferred', 2],
] as const;

describe.each(MODES)('T2 %s, %i workers', (mode, workers) => {
  const exact = mode === 'exact';

  it.each([2, 5, 10])('serves at capacity what is offered %i-fold, the core first', (factor) => {
    const results = runs({ ...SERVER, offered: stepTo(factor) }, exact, workers);
    const { goodput, coreShare, p99 } = medians(results, STEP + 1, 18);
    const ceiling = Math.min(1, 1 / (0.3 * factor));
    expect(goodput).toBeGreaterThanOrEqual(0.99 * CAPACITY);
    expect(coreShare).toBeGreaterThanOrEqual(factor === 2 ? 0.99 : 0.97 * ceiling);
    expect(p99).toBeLessThanOrEqual(60);
    expect(median(results.map((result) => recovery(result, STEP, 0.95 * CAPACITY)))).toBeLessThanOrEqual(0.5);
  });

  it('loses nothing when callers drop early', () => {
    for (const factor of [2, 10]) {
      const results = runs({ ...SERVER, offered: stepTo(factor), dropsEarly: true }, exact, workers);
      const { goodput, coreShare, p99 } = medians(results, STEP + 1, 18);
      expect(goodput, `${factor}`).toBeGreaterThanOrEqual(0.99 * CAPACITY);
      expect(coreShare, `${factor}`).toBeGreaterThanOrEqual(0.97 * Math.min(1, 1 / (0.3 * factor)));
      expect(p99, `${factor}`).toBeLessThanOrEqual(60);
      const early = median(results.map((result) => result.early)) / ((18 - STEP) * CAPACITY * factor);
      expect(early, `${factor}`).toBeGreaterThan(factor === 2 ? 0.15 : 0.7);
    }
  });

  it('goes on so for a minute', () => {
    const { goodput, coreShare, p99 } = medians(
      runs({ ...SERVER, seconds: 68, offered: stepTo(2) }, exact, workers),
      STEP + 1,
      68,
    );
    expect(goodput).toBeGreaterThanOrEqual(0.99 * CAPACITY);
    expect(coreShare).toBeGreaterThanOrEqual(0.99);
    expect(p99).toBeLessThanOrEqual(60);
  });

  it.each([2, 10])('starts cold into %i times its capacity', (factor) => {
    const results = runs({ ...SERVER, seconds: 10, offered: () => factor * CAPACITY }, exact, workers);
    expect(median(results.map((result) => recovery(result, 0, 0.95 * CAPACITY)))).toBeLessThanOrEqual(1.2);
    expect(medians(results, 2, 10).goodput).toBeGreaterThanOrEqual(0.98 * CAPACITY);
  });

  it('refuses nothing below 0.8 of the capacity', () => {
    for (const factor of [0.1, 0.5, 0.8]) {
      const results = runs({ ...SERVER, seconds: 30, offered: () => factor * CAPACITY }, exact, workers);
      expect(refusals(results), `${factor}`).toEqual([0, 0, 0]);
    }
  });

  it.each([
    ['step', (t: number) => (t < STEP ? 0 : 140)],
    ['ramp', (t: number) => Math.max(0, Math.min(140, (t - STEP) * 35))],
  ])('refuses nothing when a dependency becomes slow: a %s', (_shape, dependencyMs) => {
    for (const factor of [0.5, 0.8]) {
      const results = runs({ ...SERVER, offered: () => factor * CAPACITY, dependencyMs }, exact, workers);
      expect(refusals(results), `${factor}`).toEqual([0, 0, 0]);
    }
  });

  it('finds its level again when a dependency becomes slow in mid-overload', () => {
    const results = runs(
      { ...SERVER, seconds: 22, offered: stepTo(2), dependencyMs: (t) => (t < 12 ? 0 : 140) },
      exact,
      workers,
    );
    expect(median(results.map((result) => recovery(result, 12, 0.95 * CAPACITY)))).toBeLessThanOrEqual(2);
    expect(medians(results, 16, 22).goodput).toBeGreaterThanOrEqual(0.95 * CAPACITY);
  });

  it.each([
    ['exponential', 10, { kind: 'exponential' }],
    ['bimodal', 14.5, { kind: 'bimodal', shortMs: 5, longMs: 100 }],
  ] as const)('serves twice its capacity with %s service times', (_kind, serviceMs, service) => {
    const capacity = 4000 / serviceMs;
    const results = runs(
      { ...SERVER, seconds: 48, serviceMs, service, offered: stepTo(2, capacity) },
      exact,
      workers,
      [1, 2, 3, 4, 5],
    );
    const { goodput, coreShare } = medians(results, STEP + 1, 48);
    expect(goodput).toBeGreaterThanOrEqual(0.97 * capacity);
    expect(coreShare).toBeGreaterThanOrEqual(0.97);
  });

  it('adapts to an instance that has become half as fast', () => {
    const results = runs(
      { ...SERVER, seconds: 20, offered: stepTo(2), slowness: (t) => (t < 12 ? 1 : 2) },
      exact,
      workers,
    );
    expect(median(results.map((result) => recovery(result, 12, 0.95 * 200)))).toBeLessThanOrEqual(exact ? 0.5 : 1);
    expect(medians(results, 13, 20).goodput).toBeGreaterThanOrEqual(0.95 * 200);
  });

  it('notices it too when it was calm before', () => {
    const results = runs(
      { ...SERVER, seconds: 20, offered: () => 0.8 * CAPACITY, slowness: (t) => (t < 12 ? 1 : 2) },
      exact,
      workers,
    );
    expect(medians(results, 13.5, 20).goodput).toBeGreaterThanOrEqual(0.95 * 200);
    expect(medians(results, 13.5, 20).coreShare).toBeGreaterThanOrEqual(0.95);
  });

  it('admits again within 2 s after an application that stood still for 5 s', () => {
    const results = runs(
      { ...SERVER, seconds: 22, offered: () => 0.8 * CAPACITY, stopped: [STEP, STEP + 5] },
      exact,
      workers,
    );
    const { offered, refused } = medians(results, STEP + 7, 22);
    expect(refused / offered).toBeLessThanOrEqual(0.05);
  });

  it.each([
    ['50', 4, 80, 60],
    ['5,000', 50, 10, 4],
  ] as const)('scales to %s requests a second', (_name, slots, serviceMs, seconds) => {
    const capacity = (slots / serviceMs) * 1000;
    for (const factor of [2, 10]) {
      const results = runs(
        { slots, serviceMs, seconds: STEP + seconds, offered: stepTo(factor, capacity) },
        exact,
        workers,
      );
      const { goodput, coreShare } = medians(results, STEP + 2, STEP + seconds);
      expect(goodput, `${factor}`).toBeGreaterThanOrEqual(0.97 * capacity);
      expect(coreShare, `${factor}`).toBeGreaterThanOrEqual(0.93 * Math.min(1, 1 / (0.3 * factor)));
    }
    const calm = runs({ slots, serviceMs, seconds: seconds + 4, offered: () => 0.5 * capacity }, exact, workers);
    expect(refusals(calm)).toEqual([0, 0, 0]);
  });
});

describe('workers', () => {
  it.each([true, false])('share one cap however the load moves between them (exact: %s)', (exact) => {
    const share = (t: number): number => (Math.floor(t / 3) % 2 === 0 ? 0.9 : 0.3);
    const { goodput, coreShare, p99 } = medians(runs({ ...SERVER, offered: stepTo(2), share }, exact, 2), STEP + 1, 18);
    expect(goodput).toBeGreaterThanOrEqual(0.99 * CAPACITY);
    expect(coreShare).toBeGreaterThanOrEqual(0.98);
    expect(p99).toBeLessThanOrEqual(60);
  });

  it('may be four', () => {
    const { goodput, coreShare, p99 } = medians(runs({ ...SERVER, offered: stepTo(5) }, true, 4), STEP + 1, 18);
    expect(goodput).toBeGreaterThanOrEqual(0.99 * CAPACITY);
    expect(coreShare).toBeGreaterThanOrEqual(0.97 / 1.5);
    expect(p99).toBeLessThanOrEqual(65);
  });

  it('go on when the VM of one is replaced in mid-overload', () => {
    for (const workers of [1, 2]) {
      const results = runs({ ...SERVER, offered: stepTo(2), replacedAt: 12 }, true, workers);
      expect(median(results.map((result) => recovery(result, 12, 0.95 * CAPACITY))), `${workers}`).toBeLessThan(1);
      expect(medians(results, 13, 18).goodput, `${workers}`).toBeGreaterThanOrEqual(0.98 * CAPACITY);
    }
  });
});

it('is calm again soon after the overload, and refuses nothing from then on', () => {
  for (const [mode, workers] of MODES) {
    const offered = (t: number): number => (t < STEP || t >= 12 ? 200 : 2000);
    const results = runs({ ...SERVER, seconds: 24, offered }, mode === 'exact', workers);
    expect(medians(results, 14, 24).refused, `${mode} ${workers}`).toBe(0);
    for (const { hotAt } of results) expect(Math.max(...hotAt), `${mode} ${workers}`).toBeLessThan(15);
  }
});
