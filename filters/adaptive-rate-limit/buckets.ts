/**
 * Decision: token buckets whose tokens several workers share.
 *
 * Each worker keeps a picture of every bucket: refilled at the whole rate, minus what it takes itself, minus what the
 * others say they have taken. What a worker has taken is a sum that only grows; it is published, and the others charge
 * the difference to what they saw last. So a worker's share is what it really takes, whatever its traffic does from one moment
 * to the next, and what several admit too much between two looks at each other is taken back at the next: over a
 * longer time the admitted rate is the limit, exactly.
 *
 *   tokens  = min(burst, tokens + rate · dt) − own − others
 */

/** Tokens that gather while nobody asks: a quarter of a second's. */
const BURST_SECONDS: f64 = 0.25;
/** What all workers together may take unseen, in bursts; shared by at least so many. */
const UNSEEN: f64 = 0.25;
const FEWEST: i32 = 4;
const NO_LIMIT: f64 = -1;

@final
export class Buckets {
  /** Per bucket the tokens that this worker has taken since it started: what it publishes. */
  readonly own: StaticArray<f64>;
  /** Workers that share the buckets, this one included. */
  workers: i32 = 1;
  private readonly rates: StaticArray<f64>;
  private readonly tokens: StaticArray<f64>;
  private readonly times: StaticArray<f64>;
  /** Of `own`, what the others do not know yet. */
  private readonly unseen: StaticArray<f64>;

  constructor(readonly size: i32) {
    this.own = new StaticArray<f64>(size);
    this.rates = new StaticArray<f64>(size);
    this.tokens = new StaticArray<f64>(size);
    this.times = new StaticArray<f64>(size);
    this.unseen = new StaticArray<f64>(size);
    for (let i = 0; i < size; i++) this.rates[i] = NO_LIMIT;
  }

  /** Sets the rate, tokens per second; negative for none. A bucket that had no rate starts full, or empty. `now` in ms. */
  limit(i: i32, rate: f64, now: f64, full: bool = true): void {
    const before = unchecked(this.rates[i]);
    if (before === rate) return;
    if (before >= 0) this.refill(i, now);
    unchecked((this.rates[i] = rate));
    const burst = this.burst(i);
    if (before < 0) {
      unchecked((this.times[i] = now));
      unchecked((this.tokens[i] = full ? burst : 0));
    } else unchecked((this.tokens[i] = min(unchecked(this.tokens[i]), burst)));
  }

  limited(i: i32): bool {
    return unchecked(this.rates[i]) >= 0;
  }

  /** Whether a token is there; always without a limit. */
  has(i: i32, now: f64): bool {
    if (unchecked(this.rates[i]) < 0) return true;
    this.refill(i, now);
    return unchecked(this.tokens[i]) >= 1;
  }

  /** Takes a token that `has` has found. True when the others should hear of it. */
  take(i: i32): bool {
    if (unchecked(this.rates[i]) < 0) return false;
    unchecked((this.tokens[i] -= 1));
    unchecked((this.own[i] += 1));
    const unseen = unchecked(this.unseen[i]) + 1;
    unchecked((this.unseen[i] = unseen));
    return unseen * (max(this.workers, FEWEST) as f64) >= UNSEEN * this.burst(i);
  }

  /** Others have taken so many tokens. No more than one burst is owed: an odd report must not close a bucket for good. */
  charge(i: i32, count: f64): void {
    if (!(count > 0) || unchecked(this.rates[i]) < 0) return;
    unchecked((this.tokens[i] = max(unchecked(this.tokens[i]) - count, -this.burst(i))));
  }

  /** Everything in `own` has been published. */
  published(): void {
    for (let i = 0; i < this.size; i++) unchecked((this.unseen[i] = 0));
  }

  private burst(i: i32): f64 {
    return max(unchecked(this.rates[i]) * BURST_SECONDS, 1);
  }

  private refill(i: i32, now: f64): void {
    // A clock that was set back refills nothing, and one that was set forward fills the bucket.
    const passed = max(now - unchecked(this.times[i]), 0);
    unchecked((this.times[i] = now));
    const tokens = unchecked(this.tokens[i]) + (unchecked(this.rates[i]) * passed) / 1000;
    unchecked((this.tokens[i] = min(tokens, this.burst(i))));
  }
}
