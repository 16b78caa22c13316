import { Baseline, Cell } from '../../filters/adaptive-rate-limit/baseline';
import { Buckets } from '../../filters/adaptive-rate-limit/buckets';
import { ENTRY, HotValues, VALUES } from '../../filters/adaptive-rate-limit/hot-values';
import { AdaptivePolicy } from '../../filters/adaptive-rate-limit/policy';
import { regulate } from '../../filters/adaptive-rate-limit/regulator';
import { ResourceDetection, SILENT } from '../../filters/adaptive-rate-limit/resource';
import { Count, Whole, Window } from '../../filters/adaptive-rate-limit/window';

/** Requests that one bucket admits when they come evenly, `rate` per second for `seconds`. */
function admitted(buckets: Buckets, rate: f64, seconds: f64): i32 {
  let count = 0;
  for (let n: f64 = 0; n < rate * seconds; n++) {
    const now = (1000 * n) / rate;
    if (!buckets.has(0, now)) continue;
    buckets.take(0);
    count++;
  }
  return count;
}

function limited(rate: f64): Buckets {
  const buckets = new Buckets(2);
  buckets.limit(0, rate, 0);
  return buckets;
}

/** A second in which each interface had `rates[i]` requests of `ms` each, all answered. */
function second(rates: f64[], ms: f64): Window {
  const window = new Window(rates.length);
  for (let i = 0; i < rates.length; i++) {
    window.add(i, Count.Offered, rates[i]);
    window.add(i, Count.Admitted, rates[i]);
    window.add(i, Count.Done, rates[i]);
    window.add(i, Count.Time, rates[i] * ms);
  }
  return window;
}

function calm(policy: AdaptivePolicy, rates: f64[]): void {
  for (let s = 0; s < 40; s++) policy.step(second(rates, 10), 0.2, 0.2);
}

/** A limit after so many seconds, rounded; the calm rate is 50. `part` of its work is too much; 0 = calm. */
function regulated(part: f64, limit: f64, rate: f64, seconds: i32): f64 {
  const baseline = new Baseline(1);
  baseline.set(0, Cell.Limit, limit);
  baseline.set(0, Cell.Rate, 50);
  const window = second([rate], 10);
  baseline.set(0, Cell.Service, 10);
  baseline.excess(window, 0);
  for (let s = 0; s < seconds; s++) regulate(baseline, window, part > 0, part * baseline.limitedWork());
  return Math.round(baseline.get(0, Cell.Limit) * 10) / 10;
}

describe('a bucket', () => {
  it('admits its rate, and a quarter of a second’s tokens at first', () => {
    expect<i32>(admitted(limited(100), 400, 10)).toBe(1024);
    expect<i32>(admitted(limited(100), 90, 10)).toBe(900);
    expect<i32>(admitted(limited(1), 100, 10)).toBe(10);
    expect<i32>(admitted(limited(0), 100, 10)).toBe(1);
    expect<i32>(admitted(new Buckets(1), 100, 10)).toBe(1000);
  });

  it('refills nothing when the clock is set back, and at most a burst when it jumps ahead', () => {
    const buckets = limited(100);
    while (buckets.has(0, 1000)) buckets.take(0);
    expect<bool>(buckets.has(0, -1e12)).toBe(false);
    expect<bool>(buckets.has(0, -1e12 + 5)).toBe(false);
    expect<bool>(buckets.has(0, -1e12 + 10)).toBe(true);
    let burst = 0;
    for (; buckets.has(0, 1e15); burst++) buckets.take(0);
    expect<i32>(burst).toBe(25);
  });

  it('is charged what others took, and never owes more than a burst', () => {
    const buckets = limited(100);
    buckets.charge(0, 1e308);
    expect<bool>(buckets.has(0, 250)).toBe(false);
    expect<bool>(buckets.has(0, 261)).toBe(true);
    buckets.charge(0, NaN);
    buckets.charge(0, -5);
    expect<bool>(buckets.has(0, 261)).toBe(true);
    buckets.charge(1, 5);
    expect<bool>(buckets.has(1, 261)).toBe(true);
  });

  it('keeps its tokens when the rate changes, cut to the new burst', () => {
    const buckets = limited(100);
    buckets.limit(0, 8, 0);
    let burst = 0;
    for (; buckets.has(0, 0); burst++) buckets.take(0);
    expect<i32>(burst).toBe(2);
    buckets.limit(0, -1, 0);
    expect<bool>(buckets.has(0, 0)).toBe(true);
  });

  it('asks to be published before the others can miss much', () => {
    const buckets = limited(640);
    let taken = 1;
    for (; !buckets.take(0); taken++);
    expect<i32>(taken).toBe(10);
    buckets.published();
    buckets.workers = 64;
    expect<bool>(buckets.take(0)).toBe(true);
  });
});

describe('hot values', () => {
  it('limit each value by itself', () => {
    const hot = new HotValues(10);
    let first = 0;
    let second = 0;
    for (let n = 0; n < 1000; n++) {
      const now = (n as f64) * 10;
      const a = hot.meet(7, now);
      if (hot.has(a, now)) {
        hot.take(a);
        first++;
      }
      if (n % 20 !== 0) continue;
      const b = hot.meet(8, now);
      if (hot.has(b, now)) {
        hot.take(b);
        second++;
      }
    }
    expect<i32>(first).toBeGreaterThan(99);
    expect<i32>(first).toBeLessThan(104);
    expect<i32>(second).toBe(50);
  });

  it('keep the frequent ones through a flood of others', () => {
    const hot = new HotValues(10);
    let other: u64 = 1000;
    let evicted = 0;
    let before = -1;
    for (let n = 0; n < 20000; n++) {
      if (n % 1000 === 0) hot.age();
      if (n % 32 !== 0) {
        hot.meet(++other, 0);
        continue;
      }
      const at = hot.meet(7, 0);
      if (before >= 0 && at !== before) evicted++;
      before = at;
    }
    expect<i32>(evicted).toBe(0);
  });

  it('are charged by key, whatever their place', () => {
    const hot = new HotValues(4);
    const at = hot.meet(9, 0);
    hot.charge(9, 1);
    expect<bool>(hot.has(at, 0)).toBe(false);
    hot.charge(10, 1);
    expect<bool>(hot.has(hot.meet(10, 0), 0)).toBe(true);
    expect<i32>(hot.entries.length).toBe(VALUES * ENTRY);
    expect<u64>(load<u64>(changetype<usize>(hot.entries) + at * ENTRY)).toBe(9);
  });
});

describe('resource detection', () => {
  it('asks for seconds above the threshold in a row', () => {
    const detection = new ResourceDetection(3);
    const levels: f64[] = [1.5, 1.5, 0.9, 1.1, 1.1];
    for (let i = 0; i < levels.length; i++) {
      detection.look(levels[i]);
      expect<bool>(detection.short).toBe(false);
    }
    detection.look(1.1);
    expect<bool>(detection.short).toBe(true);
    detection.look(1);
    expect<bool>(detection.short).toBe(false);
  });

  it('takes silence and nonsense for no news', () => {
    const detection = new ResourceDetection(1);
    detection.look(2);
    detection.look(SILENT);
    detection.look(NaN);
    expect<bool>(detection.short).toBe(true);
    expect<f64>(detection.level).toBe(2);
  });
});

describe('the baseline', () => {
  it('finds the heavy interface that has risen, and cuts its share of the excess', () => {
    const policy = new AdaptivePolicy(3, 1);
    calm(policy, [100, 100, 100]);
    const window = second([100, 100, 400], 10);
    window.addWhole(Whole.Open, 6);
    policy.step(window, 1.25, 1.25);
    expect<f64>(policy.limitOf(0)).toBe(-1);
    expect<f64>(policy.limitOf(1)).toBe(-1);
    // A fifth of all work of 6 is too much: 120 requests of 10 ms.
    expect<f64>(Math.round(policy.limitOf(2))).toBe(280);
  });

  it('never cuts below the calm rate', () => {
    const policy = new AdaptivePolicy(2, 1);
    calm(policy, [100, 100]);
    policy.step(second([100, 300], 10), 1000, 1000);
    expect<f64>(Math.round(policy.limitOf(1))).toBe(100);
  });

  it('limits nobody when all rise a little, or only light ones do', () => {
    const policy = new AdaptivePolicy(4, 1);
    calm(policy, [100, 100, 100, 1]);
    policy.step(second([140, 140, 140, 1], 10), 1.5, 1.5);
    expect<i32>(policy.limits()).toBe(0);
    policy.step(second([100, 100, 100, 9], 10), 1.5, 1.5);
    expect<i32>(policy.limits()).toBe(0);
  });

  it('counts an interface that was never met while calm as risen', () => {
    const policy = new AdaptivePolicy(2, 1);
    calm(policy, [100, 0]);
    policy.step(second([100, 200], 10), 2, 2);
    expect<f64>(policy.limitOf(0)).toBe(-1);
    expect<f64>(policy.limitOf(1)).toBeGreaterThan(0);
  });

  it('does not learn from bad seconds', () => {
    const policy = new AdaptivePolicy(2, 3);
    calm(policy, [100, 100]);
    policy.step(second([100, 900], 10), 2, 2);
    policy.step(second([100, 900], 10), 2, 2);
    expect<f64>(Math.round(policy.baseline.get(1, Cell.Rate))).toBe(100);
  });

  it('takes the waiting that all share off their work when nobody tells T2', () => {
    const policy = new AdaptivePolicy(3, 1);
    calm(policy, [100, 100, 100]);
    // Everybody waits 90 ms; the last one has also become much dearer.
    const window = new Window(3);
    for (let i = 0; i < 3; i++) {
      window.add(i, Count.Offered, 100);
      window.add(i, Count.Admitted, 100);
      window.add(i, Count.Done, 100);
      window.add(i, Count.Time, 100 * (i < 2 ? 100 : 600));
    }
    policy.step(window, 2, 2);
    expect<f64>(policy.limitOf(0)).toBe(-1);
    expect<f64>(policy.limitOf(1)).toBe(-1);
    expect<f64>(policy.limitOf(2)).toBeGreaterThan(0);
  });
});

describe('the regulator', () => {
  it('shrinks by the excess while short, between 5 and 30 percent a second', () => {
    expect<f64>(regulated(0.01, 100, 500, 1)).toBe(95);
    expect<f64>(regulated(0.2, 100, 500, 1)).toBe(80);
    expect<f64>(regulated(5, 100, 500, 1)).toBe(70);
    expect<f64>(regulated(0.2, 1000, 100, 1)).toBe(80);
  });

  it('never goes below a fifth of the calm rate', () => {
    expect<f64>(regulated(5, 100, 500, 100)).toBe(10);
  });

  it('grows by a tenth in a calm second, and goes once it has been roomy for five', () => {
    expect<f64>(regulated(0, 100, 500, 1)).toBe(110);
    expect<f64>(regulated(0, 100, 50, 4)).toBe(146.4);
    expect<f64>(regulated(0, 100, 50, 5)).toBe(-1);
    expect<f64>(regulated(0, 100, 1000, 5)).toBe(161.1);
  });
});

describe('stress-test traffic', () => {
  it('goes first; limits come only where that was not enough', () => {
    const policy = new AdaptivePolicy(2, 1);
    calm(policy, [100, 100]);
    const window = second([100, 400], 10);
    window.addWhole(Whole.Stress, 300);
    policy.step(window, 2, 2);
    expect<f64>(policy.stressShare).toBe(0);
    expect<i32>(policy.limits()).toBe(0);
    policy.step(second([100, 400], 10), 2, 2);
    expect<i32>(policy.limits()).toBe(1);
  });

  it('comes back little by little after three calm seconds', () => {
    const policy = new AdaptivePolicy(1, 1);
    policy.step(second([100], 10), 2, 2);
    expect<bool>(policy.watchesStress).toBe(true);
    for (let s = 0; s < 3; s++) policy.step(second([100], 10), 0.5, 0.5);
    expect<f64>(policy.stressShare).toBe(0);
    policy.step(second([100], 10), 0.5, 0.5);
    expect<f64>(policy.stressShare).toBe(0.125);
    for (let s = 0; s < 7; s++) policy.step(second([100], 10), 0.5, 0.5);
    expect<f64>(policy.stressShare).toBe(1);
    expect<bool>(policy.watchesStress).toBe(false);
  });
});

describe('the state', () => {
  it('goes from one leader to the next', () => {
    const first = new AdaptivePolicy(3, 2);
    calm(first, [100, 100, 100]);
    first.step(second([100, 100, 400], 10), 2, 2);
    const room = heap.alloc(first.stateSize << 3);
    first.save(room);
    const next = new AdaptivePolicy(3, 2);
    next.restore(room);
    first.step(second([100, 100, 400], 10), 2, 2);
    next.step(second([100, 100, 400], 10), 2, 2);
    for (let i = 0; i < 3; i++) expect<f64>(next.limitOf(i)).toBe(first.limitOf(i));
    expect<f64>(next.limitOf(2)).toBeGreaterThan(0);
    heap.free(room);
  });
});
