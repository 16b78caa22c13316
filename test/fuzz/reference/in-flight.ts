import { FIRST_LEASE, leaseEnd, type ReferenceBucket } from '../trace-reference.ts';

/** What one request has pinned. */
export interface ReferenceHolding {
  readonly pins: { readonly bucket: ReferenceBucket; readonly fingerprint: bigint }[];
}

interface Held extends ReferenceHolding {
  readonly until: number;
  begun: number;
  lease: number;
}

/** The requests in flight of one VM and what they do about their leases. Times in milliseconds that never wrap. */
export class ReferenceInFlight {
  readonly #longest: number;
  readonly #held = new Map<ReferenceHolding, Held>();
  #crowdedAt: number | undefined;
  renewed = 0;
  released = 0;

  /** @param longest for how long a request may hold */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** A bucket was crowded. */
  press(now: number): void {
    this.#crowdedAt = now;
  }

  begin(holding: ReferenceHolding, now: number): void {
    if (holding.pins.length === 0) return;
    this.#held.set(holding, { pins: holding.pins, until: now + this.#longest, begun: now, lease: FIRST_LEASE });
  }

  /** Pins that the request still held. */
  end(holding: ReferenceHolding, now: number): number {
    const held = this.#held.get(holding);
    if (held === undefined) return 0;
    this.#held.delete(holding);
    if (this.#crowdedAt === undefined) return held.pins.length;
    for (const { bucket, fingerprint } of held.pins) {
      if (bucket.release(fingerprint, now, leaseEnd(held.begun, held.lease))) this.released++;
    }
    return held.pins.length;
  }

  /** Renews, the youngest request first. Answers the pins of requests that have held for long enough. */
  tick(now: number): number {
    if (this.#crowdedAt !== undefined && now - this.#crowdedAt > 5_000) this.#crowdedAt = undefined;
    let dropped = 0;
    for (const [key, held] of [...this.#held].reverse()) {
      if (now >= held.until) {
        dropped += held.pins.length;
        this.#held.delete(key);
      } else if (now >= held.begun + held.lease / 2) {
        [held.begun, held.lease] = [now, Math.min(held.lease * 2, 16_000)];
        for (const { bucket, fingerprint } of held.pins) {
          if (bucket.renew(fingerprint, now, held.lease)) this.renewed++;
        }
      }
    }
    return dropped;
  }
}
