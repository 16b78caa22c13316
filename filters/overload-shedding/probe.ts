/**
 * Where T2 is inferred, a slower instance and a slower dependency look alike: T3 is up, less completes than has been proven. So one
 * worker, the leader, now and then has the caps lowered until nothing can be queueing, and takes T3 as it is then for the
 * base time S. Both stories end well: the caps follow S. (Raising them for a moment instead, to see whether throughput
 * follows, drowns an instance that has become slow: tried.)
 */

/** Less than this share of the proven throughput calls for a probe, when it lasts; less still where service times spread. */
const LOW: f64 = 0.75;
const LOW_SPREAD: f64 = 0.1;
const LOW_MS: f64 = 300;
const PERIOD_MS: f64 = 30_000;
/** Between two probes that low throughput has called for; doubled while they change nothing. */
const PAUSE_MS: f64 = 1000;
const MOST_PAUSE_MS: f64 = 16_000;
/** A change of S that was worth a probe, if it is more than chance; after a fall the next one follows at once. */
const CHANGED: f64 = 0.15;
const DEVIATIONS: f64 = 2;
/** Weight of a measurement that may as well be chance. */
const CHANCE_WEIGHT: f64 = 0.25;
const SAMPLES: i32 = 16;
const FEW_SAMPLES: i32 = 6;
const LONG_MS: f64 = 500;
const LONGEST_MS: f64 = 3000;

@final
export class Probe {
  running: bool = false;
  private begun: f64 = 0;
  /** Only requests that came after the queue has drained are samples; 0 = it has not. */
  private drained: f64 = 0;
  private count: i32 = 0;
  private sum: f64 = 0;
  private squares: f64 = 0;
  private lowSince: f64 = 0;
  private last: f64 = 0;
  private pause: f64 = PAUSE_MS;

  /** Calm, or T2 is reported: no probe is needed, and S as it is counts as measured. */
  rest(now: f64): void {
    this.running = false;
    this.lowSince = now;
    this.last = now;
    this.pause = PAUSE_MS;
  }

  /** A request that was admitted at `begun` has completed. */
  sample(begun: f64, t3: f64): void {
    if (!this.running || this.drained === 0 || begun < this.drained) return;
    this.count++;
    this.sum += t3;
    this.squares += t3 * t3;
  }

  /**
   * One tick of the leader while it is hot. `low`: completed and refusing, by less than `LOW` of what is proven;
   * `drained`: no more in flight than the probe allows. Answers the measured S, or 0.
   */
  tick(low: bool, drained: bool, base: f64, now: f64): f64 {
    if (!low) this.lowSince = now;
    if (!this.running) {
      const rested = now - this.last;
      const due = rested >= PERIOD_MS || (rested >= this.pause && now - this.lowSince >= LOW_MS);
      if (due || rested < 0) this.begin(now);
      return 0;
    }
    if (this.drained === 0 && drained) this.drained = now;
    const age = now - this.begun;
    if (this.count >= SAMPLES || (this.count >= FEW_SAMPLES && age >= LONG_MS)) return this.finish(base, now);
    // Nothing to be learnt: too little completes.
    if (age >= LONGEST_MS || age < 0) this.end(MOST_PAUSE_MS, now);
    return 0;
  }

  /** Whether completed throughput is so low that S may have changed. */
  isLow(completed: f64, proven: f64, spread: f64): bool {
    return completed > 0 && completed < (LOW - LOW_SPREAD * spread) * proven;
  }

  private begin(now: f64): void {
    this.running = true;
    this.begun = now;
    this.drained = 0;
    this.count = 0;
    this.sum = 0;
    this.squares = 0;
  }

  private finish(base: f64, now: f64): f64 {
    const count = this.count as f64;
    const found = this.sum / count;
    const change = found - base;
    const error = Math.sqrt(max<f64>(0, this.squares / count - found * found) / count);
    if (Math.abs(change) <= max(CHANGED * base, DEVIATIONS * error)) {
      this.end(min(2 * this.pause, MOST_PAUSE_MS), now);
      return base + change * CHANCE_WEIGHT;
    }
    this.end(PAUSE_MS, now);
    // There may be more to come, as after a start into overload.
    if (change < 0) this.last = now - PERIOD_MS + LOW_MS;
    return found;
  }

  private end(pause: f64, now: f64): void {
    this.running = false;
    this.last = now;
    this.lowSince = now;
    this.pause = pause;
  }
}
