import { WINDOW_MS } from './meter';

/**
 * This much of the proven throughput, and so many standard deviations of a Poisson count over the window, since a mean that is
 * never exceeded is no mean.
 */
const RATE: f64 = 1.05;
const DEVIATIONS: f64 = 2.5;
const BURST_MS: f64 = 60;
const LEAST: f64 = 16;

/** Token bucket of the calm state. May be overdrawn by as much as it holds: in the hot state it is filled and spent on. */
@final
export class Bucket {
  tokens: f64 = LEAST;
  private rate: f64 = 0;
  private refilledAt: f64 = 0;

  /** Sets the rate by the proven throughput, per ms. */
  aim(proven: f64): void {
    this.rate = proven * RATE + DEVIATIONS * Math.sqrt(proven / WINDOW_MS);
  }

  /** Adds what has come in since the last time; nothing where the clock was set back. */
  refill(proven: f64, now: f64): void {
    const elapsed = now - this.refilledAt;
    this.refilledAt = now;
    const burst = max(LEAST, proven * BURST_MS);
    if (elapsed > 0) this.tokens = min(burst, this.tokens + elapsed * this.rate);
    this.tokens = max(-burst, this.tokens);
  }
}
