/**
 * The adaptive rate limit in front of a simulated application (4 at once, 10 ms each: 400/s), with an injected clock. Five
 * interfaces take equal parts of a load; one of them jumps to six times its rate for 30 s. Alone, and in front of overload-shedding.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../fuzz/reference/random.ts';
import { Application, arrivals, type Job } from './application.ts';
import { COUNT, type LimitExports, loadLimitModule, WHOLE } from './limit-module.ts';
import { loadShedding, type SheddingModule } from './shedding.ts';

const INTERFACES = 5;
const CAPACITY = 400;
/** T2 in ms at which the level is 1. */
const THRESHOLD = 10;
/** A request that took longer is of no use to its caller any more. */
const PATIENCE = 1000;
const STEP = 40_000;
const BACK = 70_000;
const END = 90_000;
const JUMPER = 4;

/** Unix time of the start in ms. */
const EPOCH = 1_700_001_000_000;
const TICK_MS = 100;
const DEFAULT_CLASS = 5;
/** Of `End`. */
const COMPLETED = 0;

let shedding: SheddingModule;
let module: LimitExports & { __pin(at: number): number };

beforeAll(async () => {
  module = await loadLimitModule();
  shedding = await loadShedding();
});

interface Second {
  readonly at: number;
  /** T2 by its threshold. */
  readonly level: number;
  readonly limits: number[];
}

interface Run {
  readonly jobs: Job[];
  /** Refused jobs are the ones without an end. */
  readonly seconds: Second[];
}

/** overload-shedding in one worker, all requests of one class. */
class Shedder {
  readonly #exact: boolean;
  readonly #random: Random;
  readonly #open: { readonly number: number; readonly job: Job }[] = [];
  #tick = TICK_MS;

  constructor(exact: boolean, seed: number) {
    this.#exact = exact;
    this.#random = new Random(seed);
    shedding.create(1, 15);
  }

  /** The request's number, 0 = refused. */
  arrive(now: number): number {
    this.#until(now);
    return shedding.arrive(0, DEFAULT_CLASS, this.#random.below(128), 0, EPOCH + now);
  }

  /** Answers come in the order of admission, since all take as long. */
  admitted(number: number, job: Job): void {
    this.#open.push({ number, job });
  }

  #until(now: number): void {
    for (;;) {
      const first = this.#open[0];
      const ended = first?.job.ended ?? Number.POSITIVE_INFINITY;
      if (Math.min(ended, this.#tick) > now) return;
      if (first === undefined || this.#tick < ended) {
        shedding.tick(0, Number.NaN, EPOCH + this.#tick);
        this.#tick += TICK_MS;
        continue;
      }
      this.#open.shift();
      const { arrived, started } = first.job;
      const t2 = this.#exact ? started - arrived : Number.NaN;
      shedding.end(0, first.number, COMPLETED, ended - arrived, t2, EPOCH + ended);
    }
  }
}

/** `exact`: the application tells T2. `phase`: when in a second the level is looked at, ms. `shedder` stands behind the limits. */
function simulate(load: number, exact: boolean, phase: number, seed: number, shedder?: Shedder): Run {
  const rate = (CAPACITY * load) / INTERFACES;
  const rateOf = (i: number, at: number) => (i === JUMPER && at >= STEP && at < BACK ? 6 * rate : rate);
  const jobs = arrivals(INTERFACES, END, rateOf, seed);
  const app = new Application(4, 10);
  const policy = module.__pin(module.policy(INTERFACES, 1));
  const window = module.__pin(module.window(INTERFACES));
  const buckets = module.__pin(module.buckets(INTERFACES, 1));
  const seconds: Second[] = [];
  const open: Job[] = [];
  let next = phase;
  const look = (now: number): void => {
    let queue = 0;
    let answered = 0;
    for (const job of open.splice(0)) {
      if (job.ended > now) {
        open.push(job);
        continue;
      }
      answered++;
      queue += job.started - job.arrived;
      module.count(window, job.interface, COUNT.done, 1);
      module.count(window, job.interface, COUNT.time, job.ended - job.arrived);
      if (!exact) continue;
      module.count(window, job.interface, COUNT.queue, job.started - job.arrived);
      module.count(window, job.interface, COUNT.queued, 1);
    }
    module.countWhole(window, WHOLE.open, open.length);
    const level = answered === 0 ? -1 : queue / answered / THRESHOLD;
    module.step(policy, window, Math.max(level, module.shedLevel(window)));
    module.clear(window);
    const limits = Array.from({ length: INTERFACES }, (_, i) => module.limitOf(policy, i));
    for (const [i, limit] of limits.entries()) module.limit(buckets, i, limit, now, false);
    seconds.push({ at: now, level, limits });
  };
  for (const job of jobs) {
    for (; next <= job.arrived; next += 1000) look(next);
    module.count(window, job.interface, COUNT.offered, 1);
    if (!module.has(buckets, job.interface, job.arrived)) continue;
    module.take(buckets, job.interface);
    module.count(window, job.interface, COUNT.admitted, 1);
    const number = shedder?.arrive(job.arrived) ?? 1;
    if (number === 0) {
      module.countWhole(window, WHOLE.shed, 1);
      continue;
    }
    app.admit(job);
    shedder?.admitted(number, job);
    open.push(job);
  }
  return { jobs, seconds };
}

/** Share of the four others' requests from `from` on that were answered in time. */
function kept({ jobs }: Run, from: number): number {
  const others = jobs.filter((job) => job.interface !== JUMPER && job.arrived >= from && job.arrived < END - PATIENCE);
  return others.filter((job) => job.ended > 0 && job.ended - job.arrived <= PATIENCE).length / others.length;
}

/** When T2 is below its threshold for a quarter of a second, for the first time after it was above. */
function relieved({ jobs }: Run): number {
  const SLOT = 250;
  let wasHot = false;
  for (let at = STEP; at < BACK; at += SLOT) {
    const admitted = jobs.filter(({ arrived, ended }) => ended > 0 && arrived >= at && arrived < at + SLOT);
    const queue = admitted.reduce((sum, job) => sum + job.started - job.arrived, 0) / Math.max(admitted.length, 1);
    if (queue > THRESHOLD) wasHot = true;
    else if (wasHot) return at + SLOT - STEP;
  }
  return Number.POSITIVE_INFINITY;
}

/** Seconds after the end of the surge for which a limit still stood. */
function lingered({ seconds }: Run): number {
  const last = seconds.findLast(({ limits }) => limits.some((limit) => limit >= 0));
  return (last?.at ?? 0) - BACK + 1000;
}

const CASES = [0.6, 0.8].flatMap((load) =>
  [true, false].flatMap((exact) => [1, 500, 999].map((phase) => ({ load, exact, phase }))),
);

describe.each(CASES)('at $load of capacity, T2 told: $exact, looked at after $phase ms', ({ load, exact, phase }) => {
  const runs: Run[] = [];
  beforeAll(() => {
    for (const seed of [1, 2, 3]) runs.push(simulate(load, exact, phase, seed));
  });

  it('nobody is limited before', () => {
    for (const { seconds } of runs) {
      for (const { at, limits } of seconds) if (at < STEP) expect(limits).toEqual(limits.map(() => -1));
    }
  });

  it('the other four keep at least 99 % from 3 s after the step', () => {
    for (const run of runs) expect(kept(run, STEP + 3000)).toBeGreaterThanOrEqual(0.99);
  });

  it('only the one that jumped is limited', () => {
    for (const { seconds } of runs) {
      for (const { limits } of seconds) expect(limits.slice(0, JUMPER)).toEqual([-1, -1, -1, -1]);
      expect(seconds.some(({ limits }) => (limits[JUMPER] ?? -1) >= 0)).toBe(true);
    }
  });

  it('the level is below its threshold again within 5 s', () => {
    for (const run of runs) expect(relieved(run)).toBeLessThanOrEqual(5000);
  });

  it('every limit is gone 15 s after the surge', () => {
    for (const run of runs) expect(lingered(run)).toBeLessThanOrEqual(15_000);
  });

  it('leaves the application at work', () => {
    for (const { jobs } of runs) {
      const done = jobs.filter(({ ended }) => ended > STEP + 3000 && ended < BACK).length;
      const asked = CAPACITY * load * 2 * ((BACK - STEP - 3000) / 1000);
      const possible = Math.min(asked, CAPACITY * ((BACK - STEP - 3000) / 1000));
      expect(done / possible).toBeGreaterThanOrEqual(0.8);
    }
  });
});

describe.each(CASES)(
  'in front of overload-shedding, at $load, T2 told: $exact, after $phase ms',
  ({ load, exact, phase }) => {
    const runs: Run[] = [];
    beforeAll(() => {
      for (const seed of [1, 2, 3]) runs.push(simulate(load, exact, phase, seed, new Shedder(exact, seed)));
    });

    it('the other four keep at least 99 % over the whole run', () => {
      for (const run of runs) expect(kept(run, 0)).toBeGreaterThanOrEqual(0.99);
    });

    it('only the one that jumped is limited, and every limit is gone 15 s after the surge', () => {
      for (const run of runs) {
        for (const { limits } of run.seconds) expect(limits.slice(0, JUMPER)).toEqual([-1, -1, -1, -1]);
        expect(lingered(run)).toBeLessThanOrEqual(15_000);
      }
    });
  },
);
