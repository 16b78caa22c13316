/**
 * The situations of the tests of github.com/Netflix/concurrency-limits (Apache-2.0, commit 78a74b98), put to the quantities that
 * overload-shedding and adaptive-rate-limit have of the same kind. Inputs and expected numbers are facts of those tests.
 *
 * | there                                                  | here |
 * | ------------------------------------------------------ | ---- |
 * | Vegas `rtt_noload`, lowest RTT; the probe for it       | S, the base time; the probe for it (`probe.ts`) |
 * | Vegas queue = limit · (1 − rtt_noload / rtt)           | X · T2, with T2 = T3 − S: the same, by Little's law |
 * | the limit grows, holds, shrinks by that queue          | A, what may come in: grows, holds, shrinks by T2 |
 * | upper bound of the limit (AIMD, Vegas)                 | A ≤ 3 · P |
 * | AIMD back-off 0.9 for a drop                           | the regulator of adaptive-rate-limit, 0.7 … 0.95 |
 * | `ExpAvgMeasurement`, a plain mean while it warms up    | what `Baseline` of adaptive-rate-limit learns |
 * | `ImmutableAverageSampleWindow`                         | mean T3 of a window |
 * | `SimpleLimiter`, its bypass; partitions                | caps on requests in flight, class 0; caps by class |
 *
 * Not here: `testDefault` and builders (no limit is configured: the caps follow P and S); `decreaseSmoothing` and
 * `largeLimitIncrease` (factors that a user may give, steps by log10 of the limit); percentile windows (only means are kept); the
 * look-up tables of square roots and logarithms; `testConcurrent…` (a worker is one thread); blocking limiters (nothing is parked).
 */
import { Baseline, Cell } from '../../filters/adaptive-rate-limit/baseline';
import { regulate } from '../../filters/adaptive-rate-limit/regulator';
import { Count, Window } from '../../filters/adaptive-rate-limit/window';
import { Estimator } from '../../filters/overload-shedding/estimator';
import { Merge } from '../../filters/overload-shedding/merge';
import { Meter, Sum } from '../../filters/overload-shedding/meter';
import { End, Peers, Shedder } from '../../filters/overload-shedding/policy';
import { BATCH, COHORTS, CONTROL, CORE, DEFAULT } from '../../filters/overload-shedding/priority';
import { Probe } from '../../filters/overload-shedding/probe';

const START: f64 = 1.7e12;
const TICK_MS: f64 = 100;

let learnedUntil: f64 = START;

@final
class Nobody extends Peers {
  exchange(inFlight: i32, admitted: u32, now: f64): void {}
}

/**
 * An instance that answers `served` requests in each tick of 100 ms, after `t3` ms and with a T2 of `t3 − S`, evenly; so
 * many of them as are in flight.
 */
@final
class Instance {
  now: f64 = START;
  readonly shedder: Shedder = new Shedder(15, new Nobody());
  private open: Array<u32> = [];

  constructor(readonly base: f64) {
    this.tick();
  }

  run(ms: f64, offered: i32, served: i32, t3: f64): void {
    for (const end = this.now + ms; this.now < end; ) {
      const step = TICK_MS / (offered as f64);
      let due: f64 = 0;
      for (let i = 0; i < offered; i++) {
        this.now += step;
        this.arrive(DEFAULT, i % COHORTS);
        due += (served as f64) / (offered as f64);
        if (due >= 1 && this.open.length > 0) {
          this.answer(t3);
          due -= 1;
        }
      }
      this.tick();
    }
  }

  arrive(class_: i32, cohort: i32): bool {
    const shedder = this.shedder;
    let admitted = !shedder.hot && shedder.admitCalm(this.now);
    if (!admitted) {
      shedder.offer(class_, 0);
      admitted = shedder.judge(class_, cohort, this.now);
    }
    if (admitted) this.open.push(shedder.lastNumber);
    return admitted;
  }

  answer(t3: f64): void {
    this.shedder.end(this.open.shift(), End.Completed, t3, t3 - this.base, this.now);
  }

  drain(t3: f64): void {
    while (this.open.length > 0) this.answer(t3);
  }

  /** So many of a class that are taken at this moment, of `most`. */
  taken(class_: i32, most: i32): i32 {
    let count = 0;
    while (count < most && this.arrive(class_, 0)) count++;
    return count;
  }

  /** What may come in, of what is offered: read off the threshold, which cuts class 5, the only one. */
  admission(): f64 {
    return ((this.shedder.threshold - DEFAULT * COHORTS) as f64) / (COHORTS as f64);
  }

  private tick(): void {
    this.shedder.begin(this.now);
    this.shedder.finish(1, NaN, this.now);
  }
}

/** Twice what it can do, for long enough that everything stands still; 200 per second are served. */
function overloaded(t3: f64): Instance {
  const instance = new Instance(10);
  instance.run(5_000, 20, 20, 10);
  instance.run(2_000, 40, 20, t3);
  return instance;
}

describe('Vegas', () => {
  it('increaseLimit: 10 ms after 10 ms is no queue, and more may come in', () => {
    const instance = overloaded(50);
    const before = instance.admission();
    instance.run(1_000, 40, 20, 10);
    expect<f64>(instance.shedder.queueing()).toBe(0);
    expect<bool>(instance.admission() > 1.2 * before).toBe(true);
  });

  it('decreaseLimit: 50 ms after 10 ms is a queue; 9 of 10 may come in', () => {
    const instance = overloaded(50);
    expect<f64>(Math.round(instance.shedder.queueing())).toBe(40);
    const share = (instance.admission() * 400) / instance.shedder.capacityPerSecond();
    expect<bool>(share > 0.88 && share < 0.94).toBe(true, share.toString());
  });

  it('noChangeIfWithinThresholds: 14 ms after 10 ms is let be', () => {
    const instance = new Instance(10);
    instance.run(5_000, 20, 20, 10);
    instance.run(5_000, 20, 20, 14);
    expect<f64>(Math.round(instance.shedder.queueing())).toBe(4);
    expect<bool>(instance.shedder.hot).toBe(false);
  });

  it('decreaseWithoutSmoothing: what may come in is brought down while the queue lasts, not below its floor', () => {
    const instance = overloaded(40);
    const first = instance.admission();
    instance.run(1_000, 40, 20, 100);
    const second = instance.admission();
    expect<bool>(second < first).toBe(true);
    instance.run(3_000, 40, 20, 5_000);
    const share = (instance.admission() * 400) / instance.shedder.capacityPerSecond();
    expect<bool>(share > 0.28 && share < 0.32).toBe(true, share.toString());
  });

  it('queue size: of 10 at 10 ms and then 14, 20, 50 ms, X · T2 are 3, 5, 8 requests', () => {
    const times: f64[] = [14, 20, 50];
    const queues: f64[] = [3, 5, 8];
    for (let i = 0; i < times.length; i++) {
      const estimator = calm(10);
      learn(estimator, 10 / times[i], times[i], 1, false);
      const queue = estimator.completed * (estimator.t3 - estimator.base);
      expect<f64>(Math.ceil(queue - 0.01)).toBe(queues[i]);
    }
  });

  it('rtt_noload: a lower time is the base at once, a higher one is not', () => {
    const estimator = calm(10);
    learn(estimator, 1, 8, 10, false);
    expect<f64>(Math.round(estimator.base)).toBe(8);
    learn(estimator, 1, 50, 10, true);
    expect<f64>(Math.round(estimator.base)).toBe(8);
  });

  it('its probe takes whatever RTT there is; this one only what came after the queue was gone', () => {
    const probe = new Probe();
    probe.rest(START);
    expect<f64>(probe.tick(false, false, 10, START + 30_000)).toBe(0);
    expect<bool>(probe.running).toBe(true);
    for (let i = 0; i < 30; i++) probe.sample(START + 30_000, 90);
    expect<f64>(probe.tick(false, true, 10, START + 30_100)).toBe(0);
    for (let i = 0; i < 16; i++) probe.sample(START + 30_101, 50);
    expect<f64>(probe.tick(false, true, 10, START + 30_400)).toBe(50);
    expect<bool>(probe.running).toBe(false);
  });
});

describe('AIMD', () => {
  it('increaseOnSuccess: with what is allowed in use, more is allowed; by a tenth, not by one', () => {
    expect<f64>(regulated(20, 20, 0)).toBe(22);
  });

  it('decreaseOnDrops: 30 become 27 where a tenth is too much', () => {
    expect<f64>(regulated(30, 30, 0.1)).toBe(27);
    expect<f64>(regulated(30, 30, 0.9)).toBe(21, 'at most by 0.7');
    expect<f64>(regulated(30, 30, 0.001)).toBe(28.5, 'at least by 0.95');
  });

  it('successOverflow: what may come in ends at three times what was proven', () => {
    const instance = overloaded(50);
    instance.run(10_000, 100, 20, 10);
    const share = instance.admission() * 1000;
    const proven = instance.shedder.estimator.proven * 1000;
    expect<bool>(share > 2.9 * proven && share <= 3 * proven).toBe(true, share.toString());
  });
});

describe('ExpAvgMeasurement', () => {
  it('testWarmup: 10 … 19 give the means 10, 10.5, 11 … 14.5', () => {
    const baseline = new Baseline(1);
    for (let i = 0; i < 10; i++) {
      baseline.learn(second(10 + i, 10 + i, 10));
      expect<f64>(Math.round(baseline.get(0, Cell.Rate) * 100) / 100).toBe(10 + (i as f64) * 0.5);
    }
  });
});

describe('ImmutableAverageSampleWindow', () => {
  it('calculateAverage: 5000, 500 and 10 have the mean 1836', () => {
    expect<f64>(Math.floor(meanOf([5000, 500, 10]))).toBe(1836);
  });

  it('droppedSampleShouldChangeTrackedAverage: here it does not, a caller that gives up is no answer', () => {
    const instance = new Instance(10);
    instance.run(2_000, 20, 20, 10);
    const before = instance.shedder.estimator.t3;
    for (let i = 0; i < 5; i++) instance.arrive(DEFAULT, 0);
    instance.shedder.end(instance.shedder.lastNumber, End.Cancelled, 5_000, NaN, instance.now);
    instance.run(300, 20, 20, 10);
    expect<f64>(instance.shedder.estimator.t3).toBe(before);
  });
});

describe('SimpleLimiter and partitions', () => {
  // Proven 200/s and S 10 ms: K is 6.5 requests for class 5, 9.5 for core, 4.25 for batch.
  it('useLimiterCapacityUntilTotalLimit: as many as the cap, and no more', () => {
    const instance = overloaded(50);
    instance.drain(10);
    expect<i32>(instance.taken(DEFAULT, 100)).toBe(7);
    expect<bool>(instance.arrive(DEFAULT, 0)).toBe(false);
  });

  it('testReleaseLimit: one that ends makes room for one', () => {
    const instance = overloaded(50);
    instance.drain(10);
    instance.taken(DEFAULT, 100);
    instance.answer(10);
    expect<i32>(instance.taken(DEFAULT, 100)).toBe(1);
  });

  it('testSimpleBypassLimiter: class 0 passes, however many there are', () => {
    const instance = overloaded(50);
    instance.drain(10);
    instance.taken(DEFAULT, 100);
    expect<i32>(instance.taken(CONTROL, 10)).toBe(10);
    expect<i32>(instance.taken(DEFAULT, 100)).toBe(0);
  });

  it('exceedTotalLimitForUnusedBin: what batch takes leaves room for the rest', () => {
    const instance = overloaded(50);
    instance.drain(10);
    instance.taken(BATCH, 100);
    expect<bool>(instance.arrive(BATCH, 0)).toBe(false);
    expect<bool>(instance.taken(DEFAULT, 100) > 0).toBe(true);
    expect<bool>(instance.taken(CORE, 100) > 0).toBe(true);
  });

  it('rejectOnceAllLimitsReached: then nobody but class 0 passes', () => {
    const instance = overloaded(50);
    instance.drain(10);
    expect<i32>(instance.taken(CORE, 100)).toBe(10);
    for (let class_ = CORE; class_ < 10; class_++) expect<bool>(instance.arrive(class_, 0)).toBe(false);
    expect<bool>(instance.arrive(CONTROL, 0)).toBe(true);
  });
});

/** Ten calm windows of 300 ms, 1 request per ms, `ms` each. */
function calm(ms: f64): Estimator {
  const estimator = new Estimator();
  learn(estimator, 1, ms, 10, false);
  return estimator;
}

function learn(estimator: Estimator, perMs: f64, ms: f64, windows: i32, frozen: bool): void {
  for (let i = 0; i < windows; i++) {
    const meter = new Meter();
    meter.roll(learnedUntil);
    learnedUntil += 300;
    meter.add(Sum.Completed, 300 * perMs);
    meter.add(Sum.T3, 300 * perMs * ms);
    meter.add(Sum.Squares, 300 * perMs * ms * ms);
    meter.roll(learnedUntil);
    const sums = new Merge();
    sums.begin();
    sums.addOwn(meter, 10);
    estimator.update(sums, frozen, learnedUntil, 300);
  }
}

function meanOf(times: f64[]): f64 {
  const meter = new Meter();
  meter.roll(START);
  for (let i = 0; i < times.length; i++) {
    meter.add(Sum.Completed, 1);
    meter.add(Sum.T3, times[i]);
  }
  meter.roll(START + 300);
  return meter.rate(Sum.T3) / meter.rate(Sum.Completed);
}

/** A limit a second later; `part` of the work is too much, 0 = calm. */
function regulated(limit: f64, rate: f64, part: f64): f64 {
  const baseline = new Baseline(1);
  baseline.set(0, Cell.Limit, limit);
  baseline.set(0, Cell.Rate, rate);
  baseline.set(0, Cell.Service, 10);
  const window = second(rate, rate, 10);
  baseline.excess(window, 0);
  regulate(baseline, window, part > 0, part * baseline.limitedWork());
  return Math.round(baseline.get(0, Cell.Limit) * 10) / 10;
}

function second(admitted: f64, done: f64, ms: f64): Window {
  const window = new Window(1);
  window.add(0, Count.Offered, admitted);
  window.add(0, Count.Admitted, admitted);
  window.add(0, Count.Done, done);
  window.add(0, Count.Time, done * ms);
  return window;
}
