import { describe, expect, test } from 'vitest';
import { App } from '../../harness/overload/app.ts';
import { arrivals } from '../../harness/overload/arrivals.ts';
import { Load } from '../../harness/overload/load.ts';
import { admittedLatency, goodput, quantile, recoveredAfter, share } from '../../harness/overload/outcome.ts';
import type { LoadPlan, Phase } from '../../harness/overload/plan.ts';
import { Random } from '../../harness/overload/random.ts';
import type { Request } from '../../harness/overload/record.ts';
import { capacityOf, type ServiceTime, Work, type WorkSettings } from '../../harness/overload/work.ts';

const FIXED: ServiceTime = { kind: 'fixed', meanMs: 10 };
const SETTINGS: WorkSettings = { slots: 2, service: FIXED, slowdown: 1, dependencyMs: 0 };

function work(settings: Partial<WorkSettings> = {}): Work<string> {
  return new Work<string>({ ...SETTINGS, ...settings }, new Random(1));
}

/** What has ended by then, as `name waited`. */
function ended(of: Work<string>, now: number): string[] {
  const found: string[] = [];
  of.finish(now, (item, waited) => found.push(`${item} ${waited}`));
  return found;
}

describe('work', () => {
  test('serves in the order of arrival, as many at once as there are slots', () => {
    const two = work();
    for (const item of ['a', 'b', 'c']) two.add(item, 0);
    expect(ended(two, 9.9)).toEqual([]);
    expect(ended(two, 10)).toEqual(['a 0', 'b 0']);
    expect(ended(two, 20)).toEqual(['c 10']);
    expect(two.inHand).toBe(0);
  });

  test('keeps its capacity however late it is looked at', () => {
    const one = work({ slots: 1 });
    for (let n = 0; n < 10; n++) one.add(String(n), 0);
    expect(ended(one, 55)).toHaveLength(5);
    expect(ended(one, 101)).toHaveLength(5);
  });

  test('waits for a dependency without a slot', () => {
    const one = work({ slots: 1, dependencyMs: 100 });
    one.add('a', 0);
    one.add('b', 0);
    expect(ended(one, 109)).toEqual([]);
    expect(ended(one, 120)).toEqual(['a 0', 'b 10']);
  });

  test('a slowdown counts for what starts after it', () => {
    const one = work({ slots: 1 });
    one.add('a', 0);
    one.add('b', 0);
    expect(ended(one, 5)).toEqual([]);
    one.change({ slowdown: 2 });
    expect(ended(one, 10)).toEqual(['a 0']);
    expect(ended(one, 29)).toEqual([]);
    expect(ended(one, 30)).toEqual(['b 10']);
  });

  test('does nothing while its process stands still', () => {
    const one = work({ slots: 1 });
    one.add('a', 0);
    expect(ended(one, 4)).toEqual([]);
    expect(ended(one, 5_004)).toEqual([]);
    expect(ended(one, 5_010)).toEqual(['a 0']);
  });

  test('an idle process has lost nothing', () => {
    const one = work({ slots: 1 });
    one.add('a', 0);
    expect(ended(one, 10)).toEqual(['a 0']);
    one.add('b', 10_000);
    expect(ended(one, 10_010)).toEqual(['b 0']);
  });

  test.each<ServiceTime>([
    FIXED,
    { kind: 'exponential', meanMs: 10 },
    { kind: 'bimodal', shortMs: 5, longMs: 100, longShare: 5 / 95 },
  ])('has the capacity that its settings say: $kind', (service) => {
    const settings = { ...SETTINGS, service };
    const busy = work(settings);
    for (let n = 0; n < 30_000; n++) busy.add('x', 0);
    let done = 0;
    for (let at = 100; at <= 100_000; at += 100) done += ended(busy, at).length;
    expect(capacityOf(settings)).toBeCloseTo(200, 6);
    expect(done / 100).toBeGreaterThan(198);
    expect(done / 100).toBeLessThan(202);
  });
});

describe('arrivals', () => {
  const plan = (phases: readonly Phase[], seed = 1): Pick<LoadPlan, 'streams' | 'seed'> => ({
    streams: ['a', 'b'].map((name) => ({ name, path: '/', headers: {}, coreShare: 0, phases })),
    seed,
  });
  const phases = [
    { seconds: 50, perSecond: 10 },
    { seconds: 10, perSecond: 0 },
    { seconds: 50, perSecond: 100 },
  ];

  test('come at the rates of their phases, in order', () => {
    const all = [...arrivals(plan(phases))];
    const within = (from: number, to: number): number => all.filter(({ at }) => at >= from && at < to).length;
    expect(all.every(({ at }, n) => n === 0 || at >= (all[n - 1]?.at ?? 0))).toBe(true);
    expect(Math.abs(within(0, 50_000) - 1_000)).toBeLessThan(100);
    expect(within(50_000, 60_000)).toBe(0);
    expect(Math.abs(within(60_000, 110_000) - 10_000)).toBeLessThan(300);
  });

  test('are the same for the same seed and others for another', () => {
    expect([...arrivals(plan(phases))]).toEqual([...arrivals(plan(phases))]);
    expect([...arrivals(plan(phases, 2))].slice(0, 3)).not.toEqual([...arrivals(plan(phases))].slice(0, 3));
  });

  test('of a stream and its twin come at the same moments, and only those', () => {
    const times = (stream: number, twins: boolean): number[] => {
      const { streams, seed } = plan(phases);
      const [first, second] = streams;
      if (first === undefined || second === undefined) throw new RangeError('two streams');
      const both = [first, twins ? { ...second, twinOf: 0 } : second];
      return [...arrivals({ streams: both, seed })].filter((one) => one.stream === stream).map(({ at }) => at);
    };
    expect(times(1, true)).toEqual(times(0, true));
    expect(times(0, true)).toEqual(times(0, false));
    expect(times(1, false)).not.toEqual(times(0, false));
  });

  test('vary as those of independent callers do: the variance of counts is their mean', () => {
    const counts = new Array<number>(500).fill(0);
    for (const { at } of arrivals(plan([{ seconds: 50, perSecond: 100 }]))) {
      const n = Math.floor(at / 100);
      counts[n] = (counts[n] ?? 0) + 1;
    }
    const mean = counts.reduce((sum, n) => sum + n, 0) / counts.length;
    const variance = counts.reduce((sum, n) => sum + (n - mean) ** 2, 0) / counts.length;
    expect(variance / mean).toBeGreaterThan(0.75);
    expect(variance / mean).toBeLessThan(1.3);
  });
});

describe('outcome', () => {
  const answered = (at: number, tookMs: number, status = 200): Request => ({
    at,
    tookMs,
    status,
    stream: 0,
    core: false,
  });

  test('goodput counts good answers by the time at which they came', () => {
    const seen = [answered(0, 100), answered(0, 1_200), answered(10, 5, 503), answered(10, 250, 0)];
    expect(goodput(seen, { from: 0, to: 1_000 })).toBe(1);
    expect(goodput(seen, { from: 1_000, to: 2_000 })).toBe(1);
  });

  test('latency is that of what was let through, given up or not', () => {
    const seen = [answered(0, 1, 503), answered(0, 20), answered(0, 250, 0)];
    expect(admittedLatency(seen, 0.5)).toBe(20);
    expect(admittedLatency(seen, 0.99)).toBe(250);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test('recovery is counted to the first half second from which on it is good enough', () => {
    const seen = Array.from({ length: 200 }, (_, n) => answered(1_000 + 10 * n, 0));
    expect(recoveredAfter(seen, { from: 1_000, to: 3_000 }, 95)).toBe(0);
    expect(recoveredAfter(seen, { from: 0, to: 3_000 }, 95)).toBe(1_000);
    expect(recoveredAfter(seen, { from: 0, to: 3_000 }, 105)).toBeNaN();
    const dipped = seen.filter(({ at }) => at < 1_600 || at >= 2_300);
    expect(recoveredAfter(dipped, { from: 1_000, to: 3_000 }, 95)).toBe(1_300);
  });
});

describe('an application under its load', () => {
  const headers = { 'x-kind': 'test' };
  const stream = { name: 'all', path: '/', headers, coreShare: 0.3 };
  const app = { ...SETTINGS, address: '127.0.0.1', port: 0, seed: 1, queueHeader: 'x-queue-ms' };
  const offer = async (perSecond: number): Promise<readonly Request[]> => {
    const running = await App.start(app);
    try {
      const load = new Load({
        address: '127.0.0.1',
        port: running.port,
        authority: 'app',
        streams: [{ ...stream, phases: [{ seconds: 2, perSecond }] }],
        patienceMs: 250,
        coreHeader: ['x-class', '1'],
        users: 10,
        userHeader: 'x-user',
        seed: 3,
      });
      return (await load.run()).record.requests();
    } finally {
      await running.stop();
    }
  };

  test('answers what it can, in time', async () => {
    const seen = await offer(60);
    expect(seen.length).toBeGreaterThan(80);
    expect(share(seen, ({ status }) => status === 200)).toBe(1);
    expect(Math.abs(share(seen, ({ core }) => core) - 0.3)).toBeLessThan(0.15);
    expect(Math.min(...seen.map(({ tookMs }) => tookMs))).toBeGreaterThanOrEqual(10);
  });

  test('answers nobody in time when callers give up on what it works on', async () => {
    const seen = await offer(600);
    const last = seen.filter(({ at }) => at > 1_500);
    expect(last.length).toBeGreaterThan(200);
    expect(share(last, ({ status }) => status === 0)).toBe(1);
    expect(Math.min(...last.map(({ tookMs }) => tookMs))).toBeGreaterThanOrEqual(250);
  });
});
