/** What one worker has seen in its last ticks: counts that become rates over at least `WINDOW_MS`. */
import { CLASSES } from './priority';

/** Shorter windows would take the grain of a single request for a change. */
export const WINDOW_MS: f64 = 240;

const TICKS: i32 = 8;
/** Sums of one tick. */
export enum Sum {
  Elapsed,
  Offered,
  Dropped,
  Completed,
  T3,
  T2,
  T2Samples,
  Refused,
  /** Of the times without queueing. */
  Squares,
  Count,
}
/** Time constant of the shares of classes. */
const SHARES_MS: f64 = 500;

@final
export class Meter {
  /** The running tick, then the closed ones in a ring. */
  private running: StaticArray<f64> = new StaticArray<f64>(Sum.Count);
  private ring: StaticArray<f64> = new StaticArray<f64>(TICKS * Sum.Count);
  private last: i32 = 0;
  private since: f64 = 0;
  /** Sums of the window that `roll` has closed. */
  readonly window: StaticArray<f64> = new StaticArray<f64>(Sum.Count);
  private arrived: StaticArray<f64> = new StaticArray<f64>(CLASSES);
  /** Offered requests by class in recent time: only their proportions mean something. */
  readonly classes: StaticArray<f64> = new StaticArray<f64>(CLASSES);

  add(sum: Sum, value: f64): void {
    unchecked((this.running[sum] = this.running[sum] + value));
  }

  /** `count` requests of a class were offered, here or to a caller that dropped them. */
  offer(class_: i32, count: f64): void {
    unchecked((this.arrived[class_] = this.arrived[class_] + count));
  }

  /** Closes a tick at time `now` (ms) and sums up the window that ends there. */
  roll(now: f64): void {
    const elapsed = now - this.since;
    this.since = now;
    // The first tick, or a clock that was set: what was counted belongs to no known time.
    if (!(elapsed > 0 && elapsed < 60_000)) {
      this.forget();
      return;
    }
    unchecked((this.running[Sum.Elapsed] = elapsed));
    this.last = (this.last + 1) % TICKS;
    for (let i = 0; i < Sum.Count; i++) {
      unchecked((this.ring[this.last * Sum.Count + i] = this.running[i]));
      unchecked((this.running[i] = 0));
      unchecked((this.window[i] = 0));
    }
    for (let back = 0; back < TICKS && unchecked(this.window[Sum.Elapsed]) < WINDOW_MS; back++) {
      const at = ((this.last - back + TICKS) % TICKS) * Sum.Count;
      for (let i = 0; i < Sum.Count; i++) unchecked((this.window[i] = this.window[i] + this.ring[at + i]));
    }
    const keep = max<f64>(0, 1 - elapsed / SHARES_MS);
    for (let i = 0; i < CLASSES; i++) {
      unchecked((this.classes[i] = this.classes[i] * keep + this.arrived[i]));
      unchecked((this.arrived[i] = 0));
    }
  }

  /** Per millisecond, over the window. */
  rate(sum: Sum): f64 {
    const elapsed = unchecked(this.window[Sum.Elapsed]);
    return elapsed > 0 ? unchecked(this.window[sum]) / elapsed : 0;
  }

  private forget(): void {
    this.running.fill(0);
    this.ring.fill(0);
    this.window.fill(0);
    this.arrived.fill(0);
  }
}
