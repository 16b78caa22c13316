/**
 * What the requests in flight of this VM hold in the trace map. A pin is a lease: most requests are over before their
 * first one ends and cost nothing more; what lasts longer is renewed from the tick, each time for twice as long. Only while
 * buckets are crowded a lease is given back when its request ends.
 */
import { MAX_TRACE_SOURCES } from '../limits';
import { TraceMetrics } from './metrics';
import { FIRST_LEASE_MS, leaseEnd, MAX_LEASE_MS } from './policy';
import { TraceMap } from './store';

/** Most updates of one tick; what is left over is due in the next one, first leases with time to spare. */
const MAX_RENEWALS: i32 = 2048;
/** How long after the last crowded bucket leases are given back, ms. */
const CROWDED_FOR_MS: u32 = 5_000;

/** The entries that one request holds. Belongs to a pooled stream. */
@final
export class Holding {
  count: i32 = 0;
  /** When the first half of the running lease is over. */
  renewAt: u32 = 0;
  /** When the request has held long enough. */
  end: u32 = 0;
  lease: u32 = 0;
  leaseEnd: u16 = 0;
  previous: Holding | null = null;
  next: Holding | null = null;
  private places: StaticArray<u64> = new StaticArray<u64>(MAX_TRACE_SOURCES);
  private fingerprints: StaticArray<u64> = new StaticArray<u64>(MAX_TRACE_SOURCES);

  constructor(
    private map: TraceMap,
    private metrics: TraceMetrics,
  ) {}

  /** Notes an entry that the request has just pinned; at most `MAX_TRACE_SOURCES`. */
  add(place: u64, fingerprint: u64): void {
    unchecked((this.places[this.count] = place));
    unchecked((this.fingerprints[this.count] = fingerprint));
    this.count++;
  }

  begin(now: u32, lease: u32): void {
    this.lease = lease;
    this.leaseEnd = leaseEnd(now, lease);
    this.renewAt = now + lease / 2;
  }

  renew(now: u32): void {
    this.begin(now, min(this.lease * 2, MAX_LEASE_MS));
    for (let i = 0; i < this.count; i++) {
      const done = this.map.renew(unchecked(this.places[i]), unchecked(this.fingerprints[i]), now, this.lease);
      if (!done) this.metrics.casExhausted.add();
    }
  }

  giveBack(now: u32): void {
    for (let i = 0; i < this.count; i++) {
      const done = this.map.release(unchecked(this.places[i]), unchecked(this.fingerprints[i]), now, this.leaseEnd);
      if (!done) this.metrics.casExhausted.add();
    }
  }

  drop(): void {
    this.metrics.pinned.move(-this.count);
    this.count = 0;
  }
}

/** All holdings of the VM. */
@final
export class InFlight {
  /** Leases are given back. */
  crowded: bool = false;
  private crowdedAt: u32 = 0;
  private first: Holding | null = null;

  /** A crowded bucket has been seen. */
  press(now: u32): void {
    this.crowded = true;
    this.crowdedAt = now;
  }

  /** `now` is when the request came; it holds for `longest` ms at most. */
  begin(holding: Holding, now: u32, longest: u32): void {
    holding.begin(now, FIRST_LEASE_MS);
    holding.end = now + longest;
    const first = this.first;
    holding.previous = null;
    holding.next = first;
    if (first !== null) first.previous = holding;
    this.first = holding;
  }

  /** The request is over, or has held for long enough. Its last lease runs out by itself. */
  end(holding: Holding): void {
    if (holding.count === 0) return;
    holding.drop();
    const previous = holding.previous;
    const next = holding.next;
    if (previous !== null) previous.next = next;
    else this.first = next;
    if (next !== null) next.previous = previous;
    holding.previous = null;
    holding.next = null;
  }

  /** To be called every second: a first lease is renewed in its second half. */
  renewDue(now: u32): void {
    if (now - this.crowdedAt > CROWDED_FOR_MS) this.crowded = false;
    let left = MAX_RENEWALS;
    let holding = this.first;
    while (holding !== null && left > 0) {
      const next = holding.next;
      if (((now - holding.end) as i32) >= 0) this.end(holding);
      else if (((now - holding.renewAt) as i32) >= 0) {
        left -= holding.count;
        holding.renew(now);
      }
      holding = next;
    }
  }

  /** Whether there is anything to do in `renewDue`. */
  any(): bool {
    return this.crowded || this.first !== null;
  }
}
