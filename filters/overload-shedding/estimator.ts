/** What the instance is able to do and how long its work takes, from what all workers have measured. */
import { Merge } from './merge';
import { Sum, WINDOW_MS } from './meter';

const SECONDS: i32 = 10;
const SECOND_MS: f64 = 1000;
/** Time constant of the base time where the application reports T2. */
const BASE_MS: f64 = 300;
/** A mean of fewer samples, or of less time, says little about the base time. */
const BASE_SAMPLES: f64 = 50;
const BASE_SPAN_MS: f64 = 250;
/** Standard errors above a mean by which it counts: the least of many means is mostly luck. */
const BASE_ERRORS: f64 = 1.5;
const SPREAD_MS: f64 = 3000;
const MOST_SPREAD: f64 = 4;

@final
export class Estimator {
  /** Proven throughput per ms: the best of ten seconds. */
  proven: f64 = 0;
  /** S: the part of T3 that is not queueing, in ms; 0 = not known yet. */
  base: f64 = 0;
  /** Mean T3 and T2 of the window in ms; 0 without samples. */
  t3: f64 = 0;
  t2: f64 = 0;
  /** The application reports T2. */
  exact: bool = false;
  /** Squared coefficient of variation of the time without queueing, 0 (all alike) to `MOST_SPREAD`. */
  spread: f64 = 0;
  /** Requests completed per ms. */
  completed: f64 = 0;

  private best: StaticArray<f64> = new StaticArray<f64>(SECONDS);
  private least: StaticArray<f64> = new StaticArray<f64>(SECONDS);
  private second: i32 = 0;
  private secondAt: f64 = 0;
  /** Of the running second: completed requests, and milliseconds that they took. */
  private counted: f64 = 0;
  private spent: f64 = 0;
  private meanTime: f64 = 0;
  private meanSquare: f64 = 0;
  private samples: f64 = 0;
  private sampled: f64 = 0;
  private squared: f64 = 0;
  private span: f64 = 0;

  /**
   * Takes over the sums of a tick that took `elapsed` ms. `now` in ms. While `frozen` the base time is not learned from T3:
   * under overload T3 is mostly queueing.
   */
  update(sums: Merge, frozen: bool, now: f64, elapsed: f64): void {
    this.completed = sums.rate(Sum.Completed);
    const reports = sums.rate(Sum.T2Samples);
    if (this.completed > 0) {
      this.t3 = sums.rate(Sum.T3) / this.completed;
      this.exact = reports > 0;
    }
    this.t2 = reports > 0 ? min(sums.rate(Sum.T2) / reports, this.t3) : 0;
    this.prove(sums.inFlight > 0 && this.completed === 0, now, elapsed);
    if (this.exact || !frozen) this.followSpread(sums, elapsed);
    if (this.exact) this.followBase(elapsed);
    else if (!frozen || this.base === 0) this.learnBase(sums, elapsed);
  }

  /** Starts from what another worker, or this one before its VM was replaced, has proven. */
  inherit(proven: f64, base: f64): void {
    if (this.proven === 0) unchecked((this.best[this.second] = proven));
    this.proven = highest(this.best);
    if (this.base === 0) this.setBase(base);
  }

  /** The base time has been measured. */
  setBase(base: f64): void {
    this.base = base;
    this.least.fill(0);
    unchecked((this.least[this.second] = base));
    this.samples = 0;
    this.sampled = 0;
    this.squared = 0;
    this.span = 0;
  }

  /**
   * The best whole second of ten. A window of a fraction of a second counts by its lower bound, two standard deviations of
   * a Poisson count below: the best of many short windows is mostly luck.
   */
  private prove(stalled: bool, now: f64, elapsed: f64): void {
    this.counted += this.completed * elapsed;
    this.spent += elapsed;
    const seen = this.completed * WINDOW_MS;
    const sure = seen > 4 ? this.completed * (1 - 2 / Math.sqrt(seen)) : 0;
    unchecked((this.best[this.second] = max(this.best[this.second], sure)));
    const age = now - this.secondAt;
    if (!(age >= 0 && age < SECOND_MS)) {
      this.secondAt = now;
      if (this.spent > 0) unchecked((this.best[this.second] = max(this.best[this.second], this.counted / this.spent)));
      this.counted = 0;
      this.spent = 0;
      // An instance that answers nothing teaches nothing: while it is stalled no second passes.
      if (!stalled) {
        this.second = (this.second + 1) % SECONDS;
        unchecked((this.best[this.second] = 0));
        unchecked((this.least[this.second] = 0));
      }
    }
    this.proven = highest(this.best);
  }

  /** Slowly: a tick's few samples say little about squares. */
  private followSpread(sums: Merge, elapsed: f64): void {
    const total = sums.rate(Sum.T3) - sums.rate(Sum.T2);
    if (this.completed <= 0 || total <= 0) return;
    const mean = total / this.completed;
    const square = sums.rate(Sum.Squares) / this.completed;
    const rate = min<f64>(1, elapsed / SPREAD_MS);
    this.meanTime += (mean - this.meanTime) * rate;
    this.meanSquare += (square - this.meanSquare) * rate;
    const found = this.meanSquare / (this.meanTime * this.meanTime) - 1;
    this.spread = min(MOST_SPREAD, max<f64>(0, found));
  }

  private followBase(elapsed: f64): void {
    if (this.completed === 0) return;
    const own = max<f64>(0, this.t3 - this.t2);
    this.base = this.base === 0 ? own : this.base + (own - this.base) * min<f64>(1, elapsed / BASE_MS);
  }

  private learnBase(sums: Merge, elapsed: f64): void {
    this.samples += this.completed * elapsed;
    this.sampled += this.completed * elapsed * this.t3;
    this.squared += sums.rate(Sum.Squares) * elapsed;
    this.span += elapsed;
    if (this.samples >= BASE_SAMPLES && this.span >= BASE_SPAN_MS) {
      const mean = this.sampled / this.samples;
      const variance = max<f64>(0, this.squared / this.samples - mean * mean);
      const sure = mean + BASE_ERRORS * Math.sqrt(variance / this.samples);
      const before = unchecked(this.least[this.second]);
      unchecked((this.least[this.second] = before === 0 ? sure : min(before, sure)));
      this.samples = 0;
      this.sampled = 0;
      this.squared = 0;
      this.span = 0;
    }
    const found = lowest(this.least);
    // Until the first mean: better a first guess than none.
    if (found > 0) this.base = found;
    else if (this.base === 0) this.base = this.t3;
  }
}

function highest(values: StaticArray<f64>): f64 {
  let found: f64 = 0;
  for (let i = 0; i < values.length; i++) found = max(found, unchecked(values[i]));
  return found;
}

/** The smallest that is not 0, or 0. */
function lowest(values: StaticArray<f64>): f64 {
  let found: f64 = 0;
  for (let i = 0; i < values.length; i++) {
    const value = unchecked(values[i]);
    if (value > 0 && (found === 0 || value < found)) found = value;
  }
  return found;
}
