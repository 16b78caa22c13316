import type { TracePropagationConfig } from '../../../filters/trace-propagation/schema.ts';
import { memberOf, type ReferenceBucket, ReferenceMap, sipHash128, withMember } from '../trace-reference.ts';
import { ReferenceInFlight } from './in-flight.ts';
import { type Counts, isTag, type RequestHeaders } from './request.ts';
import { DEFAULT_SOURCES, traceIds } from './trace.ts';

const PREFIX = 'causeway_trace_propagation_';
const BAGGAGE = 'baggage';

/** What inbound and outbound of one Envoy have in common. */
export class TraceMemory {
  readonly map: ReferenceMap;
  readonly inFlight: ReferenceInFlight;
  readonly #key: Buffer;
  readonly #ttl: number;
  /** Ids that came in without a tag, with the generation (a time to live long) in which they were noted last. */
  readonly #recent = new Map<string, number>();

  /** @param key the 16 bytes under `v1/trace/key` in shared data */
  constructor(key: string, config: TracePropagationConfig) {
    this.#key = Buffer.from(key, 'latin1');
    this.#ttl = (config.ttlSeconds ?? 30) * 1000;
    this.inFlight = new ReferenceInFlight((config.maxPinSeconds ?? 600) * 1000);
    this.map = new ReferenceMap(key, config.entries ?? 65536, this.#ttl);
  }

  /** Whether the leak detector looks at this id: one in `sample`. */
  isWatched(id: string, sample: number): boolean {
    const [, second] = sipHash128(id, this.#key.readBigUInt64LE(0), this.#key.readBigUInt64LE(8));
    return sample !== 0 && (second >> 32n) % BigInt(sample) === 0n;
  }

  note(id: string, now: number): void {
    this.#recent.set(id, this.#generation(now));
  }

  isRecent(id: string, now: number): boolean {
    const noted = this.#recent.get(id);
    return noted !== undefined && this.#generation(now) - noted <= 1;
  }

  #generation(now: number): number {
    return Math.floor((now % 0x1_0000_0000) / this.#ttl);
  }
}

/** One request on its way through trace-propagation. */
export class TracedRequest {
  readonly #config: TracePropagationConfig;
  readonly #memory: TraceMemory;
  readonly #counts: Counts;
  readonly pins: { bucket: ReferenceBucket; fingerprint: bigint }[] = [];

  constructor(config: TracePropagationConfig, memory: TraceMemory, counts: Counts) {
    this.#config = config;
    this.#memory = memory;
    this.#counts = counts;
  }

  /** @param now milliseconds since 1970 */
  request(headers: RequestHeaders, now: number): void {
    const tag = headers.joined(this.#tagHeader) || undefined;
    const baggage = this.#config.mode === 'baggage';
    if (this.#config.direction === 'inbound') {
      if (baggage) this.#pack(headers, tag);
      else this.#learn(headers, tag, now);
    } else if (tag !== undefined) this.#count('explicit');
    else if (baggage) this.#unpack(headers);
    else this.#apply(headers, now);
  }

  /** The request has ended. */
  end(now: number): void {
    this.#counts.add(`${PREFIX}pinned`, -this.#memory.inFlight.end(this, now));
  }

  get #tagHeader(): string {
    return (this.#config.tagHeader ?? 'x-asm-traffic-lane').toLowerCase();
  }

  get #sample(): number {
    return this.#config.leakSample ?? 16;
  }

  #count(event: string, labels = '', by = 1): void {
    this.#counts.add(`${PREFIX}${event}_total${labels}`, by);
  }

  #learn(headers: RequestHeaders, tag: string | undefined, now: number): void {
    if (tag !== undefined && !isTag(tag)) {
      this.#count('invalid_tag');
      return;
    }
    for (const id of traceIds(headers, this.#config.sources ?? DEFAULT_SOURCES)) {
      if (tag !== undefined) this.#learnOne(id, tag, now);
      else if (this.#memory.isWatched(id, this.#sample)) this.#memory.note(id, now);
    }
    this.#memory.inFlight.begin(this, now);
  }

  #learnOne(id: string, tag: string, now: number): void {
    const { bucket, fingerprint } = this.#memory.map.of(id);
    const { what, pinned, crowded, evictedLive } = bucket.learn(fingerprint, tag, now);
    if (crowded) this.#memory.inFlight.press(now);
    if (evictedLive) this.#count('evicted_live');
    if (what === 'conflict kept') {
      this.#count('conflict', '.kind.kept');
      return;
    }
    if (what === 'conflict replaced') this.#count('conflict', '.kind.replaced');
    else this.#count(what);
    if (!pinned) this.#count('unpinned');
    else {
      this.pins.push({ bucket, fingerprint });
      this.#counts.add(`${PREFIX}pinned`);
    }
  }

  #apply(headers: RequestHeaders, now: number): void {
    const ids = traceIds(headers, this.#config.sources ?? DEFAULT_SOURCES);
    if (ids.length === 0) {
      this.#count('leaked', '.reason.no_id');
      return;
    }
    const watched: string[] = [];
    for (const id of ids) {
      const { bucket, fingerprint } = this.#memory.map.of(id);
      const { tag } = bucket.lookUp(fingerprint, now);
      if (tag !== undefined) {
        headers.set(this.#tagHeader, tag);
        this.#count('hit');
        return;
      }
      if (this.#memory.isWatched(id, this.#sample)) watched.push(id);
    }
    this.#count('miss');
    if (watched.length === 0) return;
    if (watched.some((id) => this.#memory.isRecent(id, now))) this.#count('untagged', '', this.#sample);
    else this.#count('leaked', '.reason.unknown_id', this.#sample);
  }

  #pack(headers: RequestHeaders, given: string | undefined): void {
    const tag = given !== undefined && isTag(given) ? given : undefined;
    if (given !== tag) this.#count('invalid_tag');
    const before = headers.joined(BAGGAGE) ?? '';
    const after = withMember(before, this.#key, tag);
    if (after === undefined) return;
    if (after === '') headers.remove(BAGGAGE);
    else headers.set(BAGGAGE, after);
    if (tag !== undefined) this.#count('stored');
    const members = (text: string): number => text.split(',').filter((member) => /[^ \t]/.test(member)).length;
    const replaced = before.split(',').filter((member) => keyOf(member) === this.#key).length;
    const dropped = members(before) - replaced + (tag === undefined ? 0 : 1) - members(after);
    if (dropped > 0) this.#count('baggage_dropped', '', dropped);
  }

  #unpack(headers: RequestHeaders): void {
    const baggage = headers.joined(BAGGAGE) ?? '';
    const tag = memberOf(baggage, this.#key);
    if (tag !== undefined && isTag(tag)) {
      headers.set(this.#tagHeader, tag);
      this.#count('hit');
      return;
    }
    this.#count('miss');
    if (tag !== undefined) this.#count('invalid_tag');
  }

  get #key(): string {
    return this.#config.baggageKey ?? 'x-asm-traffic-lane';
  }
}

function keyOf(member: string): string | undefined {
  return /^[ \t]*([^=]*?)[ \t]*=/.exec(member)?.[1];
}
