/** What the instance is able to do and how long its work takes, from what all workers have measured. */
import { Merge } from './merge';
import { Sum } from './meter';

const SECONDS: i32 = 10;
const SECOND_MS: f64 = 1000;
/** Time constant of the base time where the application reports T2. */
const BASE_MS: f64 = 300;
/** A mean of fewer samples says little about the base time. */
const BASE_SAMPLES: f64 = 50;

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
  /** Requests completed per ms. */
  completed: f64 = 0;

  private best: StaticArray<f64> = new StaticArray<f64>(SECONDS);
  private least: StaticArray<f64> = new StaticArray<f64>(SECONDS);
  private second: i32 = 0;
  private secondAt: f64 = 0;
  private samples: f64 = 0;
  private sampled: f64 = 0;

  /** Takes over the sums of a tick that took `elapsed` ms. `now` in ms. */
  update(sums: Merge, now: f64, elapsed: f64): void {
    this.completed = sums.rate(Sum.Completed);
    const reports = sums.rate(Sum.T2Samples);
    if (this.completed > 0) this.t3 = sums.rate(Sum.T3) / this.completed;
    if (this.completed > 0) this.exact = reports > 0;
    this.t2 = reports > 0 ? min(sums.rate(Sum.T2) / reports, this.t3) : 0;
    this.rotate(now, sums.inFlight > 0 && this.completed === 0);
    unchecked((this.best[this.second] = max(this.best[this.second], this.completed)));
    this.proven = highest(this.best);
    if (this.exact) this.followBase(elapsed);
    else this.learnBase(elapsed);
  }

  /** Starts from what another worker, or this one before its VM was replaced, has proven. */
  inherit(proven: f64, base: f64): void {
    if (this.proven === 0) unchecked((this.best[this.second] = proven));
    this.proven = highest(this.best);
    if (this.base === 0) this.base = base;
  }

  /** The base is the present T3: what was slow was the work, not a queue. */
  rebase(): void {
    this.base = this.t3;
    this.least.fill(this.t3);
    this.samples = 0;
    this.sampled = 0;
  }

  private followBase(elapsed: f64): void {
    if (this.completed === 0) return;
    const own = max<f64>(0, this.t3 - this.t2);
    this.base = this.base === 0 ? own : this.base + (own - this.base) * min<f64>(1, elapsed / BASE_MS);
  }

  private learnBase(elapsed: f64): void {
    this.samples += this.completed * elapsed;
    this.sampled += this.completed * elapsed * this.t3;
    if (this.samples >= BASE_SAMPLES) {
      const mean = this.sampled / this.samples;
      const before = unchecked(this.least[this.second]);
      unchecked((this.least[this.second] = before === 0 ? mean : min(before, mean)));
      this.samples = 0;
      this.sampled = 0;
    }
    const found = lowest(this.least);
    // Until the first mean: better a first guess than none.
    if (found > 0) this.base = found;
    else if (this.base === 0) this.base = this.t3;
  }

  /** An instance that answers nothing teaches nothing: while it is stalled no second passes. */
  private rotate(now: f64, stalled: bool): void {
    const age = now - this.secondAt;
    if (age >= 0 && age < SECOND_MS) return;
    this.secondAt = now;
    if (stalled) return;
    this.second = (this.second + 1) % SECONDS;
    unchecked((this.best[this.second] = 0));
    unchecked((this.least[this.second] = 0));
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
