/**
 * Limits by value: a token bucket for each of the values that are met most, found by space-saving (Metwally, Agrawal, El
 * Abbadi 2005): a value that is not in the table takes the place of the one that was met least, and its count. Any value
 * with more than 1/64 of all requests is in the table for certain. Counts are halved each second, so that the
 * table follows the traffic.
 *
 * The buckets are shared among workers as those of `buckets.ts` are. A value is known by a 64-bit keyed hash.
 *
 *   entry   u64 key | f64 own        both published, one behind the other
 */

/** Values that are followed per rule. */
export const VALUES: i32 = 64;
/** Bytes of one published entry. */
export const ENTRY: i32 = 16;

const BURST_SECONDS: f64 = 0.25;
const UNSEEN: f64 = 0.25;
const FEWEST: i32 = 4;

@final
export class HotValues {
  /** `VALUES` entries; key 0 = free. */
  readonly entries: StaticArray<u8> = new StaticArray<u8>(VALUES * ENTRY);
  private readonly counts: StaticArray<f64> = new StaticArray<f64>(VALUES);
  private readonly tokens: StaticArray<f64> = new StaticArray<f64>(VALUES);
  private readonly times: StaticArray<f64> = new StaticArray<f64>(VALUES);
  private readonly unseen: StaticArray<f64> = new StaticArray<f64>(VALUES);
  private readonly burst: f64;
  /** Workers that share the buckets, this one included. */
  workers: i32 = 1;

  /** `rate` per second and value. */
  constructor(private readonly rate: f64) {
    this.burst = max(rate * BURST_SECONDS, 1);
  }

  /** The place of `key`, which is not 0, having counted it. `now` in ms. */
  meet(key: u64, now: f64): i32 {
    let least = 0;
    let fewest = Infinity;
    for (let i = 0; i < VALUES; i++) {
      const count = unchecked(this.counts[i]);
      if (this.keyAt(i) === key) {
        unchecked((this.counts[i] = count + 1));
        return i;
      }
      if (count < fewest) {
        fewest = count;
        least = i;
      }
    }
    const at = changetype<usize>(this.entries) + least * ENTRY;
    store<u64>(at, key);
    store<f64>(at, 0, 8);
    unchecked((this.counts[least] = fewest + 1));
    unchecked((this.tokens[least] = this.burst));
    unchecked((this.times[least] = now));
    unchecked((this.unseen[least] = 0));
    return least;
  }

  has(i: i32, now: f64): bool {
    const passed = max(now - unchecked(this.times[i]), 0);
    unchecked((this.times[i] = now));
    const tokens = min(unchecked(this.tokens[i]) + (this.rate * passed) / 1000, this.burst);
    unchecked((this.tokens[i] = tokens));
    return tokens >= 1;
  }

  /** Takes a token that `has` has found. True when the others should hear of it. */
  take(i: i32): bool {
    const at = changetype<usize>(this.entries) + i * ENTRY;
    unchecked((this.tokens[i] -= 1));
    store<f64>(at, load<f64>(at, 8) + 1, 8);
    const unseen = unchecked(this.unseen[i]) + 1;
    unchecked((this.unseen[i] = unseen));
    return unseen * (max(this.workers, FEWEST) as f64) >= UNSEEN * this.burst;
  }

  /** Others have taken so many tokens of `key`; nothing when it is not followed here. */
  charge(key: u64, count: f64): void {
    if (!(count > 0)) return;
    for (let i = 0; i < VALUES; i++) {
      if (this.keyAt(i) !== key) continue;
      unchecked((this.tokens[i] = max(unchecked(this.tokens[i]) - count, -this.burst)));
      return;
    }
  }

  published(): void {
    for (let i = 0; i < VALUES; i++) unchecked((this.unseen[i] = 0));
  }

  /** Once a second: what was met long ago weighs less. */
  age(): void {
    for (let i = 0; i < VALUES; i++) unchecked((this.counts[i] *= 0.5));
  }

  private keyAt(i: i32): u64 {
    return load<u64>(changetype<usize>(this.entries) + i * ENTRY);
  }
}
