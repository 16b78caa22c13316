/**
 * What trace-propagation does, written a second time and differently: in TypeScript, with regular expressions, objects
 * and big integers. Header values are binary strings, as in the emulator.
 */

export const FORMATS = ['plain', 'traceparent', 'b3', 'b3-traceid', 'sw8', 'uber-trace-id'] as const;
export type Format = (typeof FORMATS)[number];

export const MAX_LIFE_MS = 86_400_000;
const WAYS = 8;
const MAX_PINNED = 6;
/** What a request that arrives is granted, and the most that it can ask for; in ms, granted in units of 64. */
export const FIRST_LEASE = 2500;
const MAX_LEASE = 16_000;
/** Pins that make a bucket crowded. */
const CROWD = 4;
const UNIT = 64;
const MASK64 = (1n << 64n) - 1n;

/** The id in lower case, or undefined. */
export function traceId(format: Format, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  const id = PARSERS[format](text);
  return id === undefined ? undefined : lowerCase(id);
}

const PARSERS: Record<Format, (text: string) => string | undefined> = {
  plain: (text) => {
    if (text === '' || text.includes(',')) return undefined;
    const uuid = /^([0-9a-f]{8}-[0-9a-f]{4}-)[0-9a-f]([0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})$/i.exec(text);
    return uuid === null ? text : `${uuid[1]}${uuid[2]}`;
  },
  traceparent: (text) => {
    const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[\s\S]*)?$/.exec(text);
    if (found === null || found[1] === 'ff' || (found[1] === '00' && found[4] !== undefined)) return undefined;
    return /^0+$/.test(found[3] ?? '') ? undefined : significant(found[2]);
  },
  b3: (text) => significant(/^([0-9a-f]{32}|[0-9a-f]{16})-[\s\S]/i.exec(text)?.[1]),
  'b3-traceid': (text) => significant(/^(?:[0-9a-f]{32}|[0-9a-f]{16})$/i.exec(text)?.[0]),
  sw8: (text) => {
    const field = /^[01]-([^-]+)-/.exec(text)?.[1];
    if (field === undefined) return undefined;
    const digits = field.replace(/={1,2}$/, '');
    if (!/^[A-Za-z0-9+/]+$/.test(digits) || digits.length % 4 === 1) return undefined;
    const decoded = Buffer.from(digits, 'base64').toString('latin1');
    return decoded.length > 128 ? field : decoded;
  },
  'uber-trace-id': (text) => {
    const fields = text.split(/:|%3a/i);
    return fields.length === 4 && /^[0-9a-f]{1,32}$/i.test(fields[0] ?? '') ? significant(fields[0]) : undefined;
  },
};

function significant(digits: string | undefined): string | undefined {
  const rest = digits?.replace(/^0+/, '');
  return rest === '' ? undefined : rest;
}

export function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Unkeyed hash of an id: FNV-1a, then the finaliser of murmur3. */
export function stickyHash(id: string, seed: bigint): bigint {
  let h = 0xcbf29ce484222325n ^ seed;
  for (const byte of Buffer.from(id, 'latin1')) h = ((h ^ BigInt(byte)) * 0x100000001b3n) & MASK64;
  h = ((h ^ (h >> 33n)) * 0xff51afd7ed558ccdn) & MASK64;
  h = ((h ^ (h >> 33n)) * 0xc4ceb9fe1a85ec53n) & MASK64;
  return h ^ (h >> 33n);
}

/** SipHash-2-4 with 128 bits of output, as in the paper: `[first half, second half]`. */
export function sipHash128(text: string, k0: bigint, k1: bigint): [bigint, bigint] {
  const bytes = Buffer.from(text, 'latin1');
  const padded = Buffer.alloc((bytes.length & ~7) + 8);
  bytes.copy(padded);
  padded[padded.length - 1] = bytes.length & 0xff;
  const v = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn ^ 0xeen,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint];
  for (let i = 0; i < padded.length; i += 8) {
    const word = padded.readBigUInt64LE(i);
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
  }
  v[2] ^= 0xeen;
  rounds(v, 4);
  const first = v[0] ^ v[1] ^ v[2] ^ v[3];
  v[1] ^= 0xddn;
  rounds(v, 4);
  return [first, v[0] ^ v[1] ^ v[2] ^ v[3]];
}

function rounds(v: [bigint, bigint, bigint, bigint], count: number): void {
  const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & MASK64;
  for (let i = 0; i < count; i++) {
    v[0] = (v[0] + v[1]) & MASK64;
    v[2] = (v[2] + v[3]) & MASK64;
    v[1] = rotate(v[1], 13n) ^ v[0];
    v[3] = rotate(v[3], 16n) ^ v[2];
    v[0] = rotate(v[0], 32n);
    v[2] = (v[2] + v[1]) & MASK64;
    v[0] = (v[0] + v[3]) & MASK64;
    v[1] = rotate(v[1], 17n) ^ v[2];
    v[3] = rotate(v[3], 21n) ^ v[0];
    v[2] = rotate(v[2], 32n);
  }
}

export type Learned = 'stored' | 'refreshed' | 'conflict kept' | 'conflict replaced';

export interface Outcome {
  readonly what: Learned;
  readonly pinned: boolean;
  readonly crowded: boolean;
  readonly evictedLive: boolean;
}

interface Entry {
  fingerprint: bigint;
  tag: string;
  /** Milliseconds that never wrap. */
  expiry: number;
  touched: number;
  /** Number of the unit of time with which its lease ends; 0 without one. */
  leaseEnd: number;
  lookedUp: boolean;
}

/** Eight places, in the order in which they were taken. */
export class ReferenceBucket {
  readonly #ways: (Entry | undefined)[] = new Array(WAYS).fill(undefined);
  readonly #ttl: number;

  constructor(ttl: number) {
    this.#ttl = ttl;
  }

  learn(fingerprint: bigint, tag: string, now: number): Outcome {
    const known = this.#find(fingerprint, now);
    if (known === undefined) {
      const place = this.#place(fingerprint, now);
      const evictedLive = isLive(this.#ways[place], now);
      const crowded = this.#pins(now, place) >= CROWD;
      return { what: 'stored', pinned: this.#write(place, fingerprint, tag, now), crowded, evictedLive };
    }
    if (known.tag !== tag) {
      if (leased(known, now)) return { what: 'conflict kept', pinned: false, crowded: false, evictedLive: false };
      const crowded = this.#pins(now) >= CROWD;
      const pinned = this.#write(this.#ways.indexOf(known), fingerprint, tag, now);
      return { what: 'conflict replaced', pinned, crowded, evictedLive: false };
    }
    const crowded = this.#pins(now) >= CROWD;
    return { what: 'refreshed', pinned: this.#hold(known, now, FIRST_LEASE), crowded, evictedLive: false };
  }

  /** The tag, and whether looking it up changed the bucket. */
  lookUp(fingerprint: bigint, now: number): { tag: string | undefined; changed: boolean } {
    const entry = this.#find(fingerprint, now);
    if (entry === undefined) return { tag: undefined, changed: false };
    const changed = !entry.lookedUp || entry.expiry - now < Math.floor(this.#ttl / 2);
    if (changed) {
      entry.lookedUp = true;
      entry.expiry = Math.max(entry.expiry, now + this.#ttl);
      entry.touched = now;
    }
    return { tag: entry.tag, changed };
  }

  renew(fingerprint: bigint, now: number, lease: number): boolean {
    const entry = this.#find(fingerprint, now);
    if (entry === undefined) return false;
    this.#hold(entry, now, lease);
    return true;
  }

  release(fingerprint: bigint, now: number, end: number): boolean {
    const entry = this.#find(fingerprint, now);
    if (entry === undefined || entry.leaseEnd !== end) return false;
    entry.leaseEnd = 0;
    return true;
  }

  /** Pins the entry, where that is possible, and makes it live for `ttl` beyond the lease. */
  #hold(entry: Entry, now: number, lease: number): boolean {
    entry.expiry = Math.max(entry.expiry, now + this.#ttl + lease);
    entry.touched = now;
    if (!leased(entry, now) && this.#pins(now) >= MAX_PINNED) return false;
    entry.leaseEnd = Math.max(entry.leaseEnd, leaseEnd(now, lease));
    return true;
  }

  #find(fingerprint: bigint, now: number): Entry | undefined {
    return this.#ways.find((entry) => entry?.fingerprint === fingerprint && isLive(entry, now));
  }

  #pins(now: number, except = -1): number {
    return this.#ways.filter((entry, i) => i !== except && isLive(entry, now) && leased(entry, now)).length;
  }

  #write(place: number, fingerprint: bigint, tag: string, now: number): boolean {
    const pinned = this.#pins(now, place) < MAX_PINNED;
    const expiry = now + this.#ttl + (pinned ? FIRST_LEASE : 0);
    const end = pinned ? leaseEnd(now, FIRST_LEASE) : 0;
    this.#ways[place] = { fingerprint, tag, expiry, touched: now, leaseEnd: end, lookedUp: false };
    return pinned;
  }

  /** Sorted by preference; the first place wins where nothing tells two apart. */
  #place(fingerprint: bigint, now: number): number {
    const cost = (entry: Entry | undefined): [number, number] => {
      if (entry === undefined || !isLive(entry, now)) return [entry?.fingerprint === fingerprint ? 0 : 1, 0];
      if (leased(entry, now)) return [4, 0];
      return [entry.lookedUp ? 3 : 2, entry.touched];
    };
    const order = this.#ways.map((entry, i) => ({ i, cost: cost(entry) }));
    order.sort((a, b) => a.cost[0] - b.cost[0] || a.cost[1] - b.cost[1] || a.i - b.i);
    return order[0]?.i ?? 0;
  }
}

export function leaseEnd(now: number, lease: number): number {
  return Math.floor(now / UNIT) + Math.floor(Math.min(lease, MAX_LEASE) / UNIT) + 1;
}

function leased(entry: Entry | undefined, now: number): boolean {
  return entry !== undefined && Math.floor(now / UNIT) < entry.leaseEnd;
}

function isLive(entry: Entry | undefined, now: number): boolean {
  return entry !== undefined && entry.expiry > now && entry.expiry - now <= MAX_LIFE_MS;
}

/** The whole map: hash key as it stands in shared data, so that ids fall into the same buckets. */
export class ReferenceMap {
  readonly #buckets = new Map<bigint, ReferenceBucket>();
  readonly #entries: number;
  readonly #make: () => ReferenceBucket;
  readonly #k0: bigint;
  readonly #k1: bigint;

  constructor(key: string, entries: number, ttl: number) {
    const bytes = Buffer.from(key, 'latin1');
    this.#k0 = bytes.readBigUInt64LE(0);
    this.#k1 = bytes.readBigUInt64LE(8);
    this.#entries = entries;
    this.#make = () => new ReferenceBucket(ttl);
  }

  /** The bucket of an id, and its fingerprint there. */
  of(id: string): { bucket: ReferenceBucket; fingerprint: bigint } {
    const [place, fingerprint] = sipHash128(id, this.#k0, this.#k1);
    const index = place % BigInt(this.#entries / WAYS);
    const bucket = this.#buckets.get(index) ?? this.#make();
    this.#buckets.set(index, bucket);
    return { bucket, fingerprint: fingerprint === 0n ? 1n : fingerprint };
  }
}

interface Member {
  readonly key: string | undefined;
  readonly value: string;
  readonly text: string;
}

function members(baggage: string): Member[] {
  return baggage.split(',').map((text) => {
    const found = /^([^=]*)=([^;]*)/.exec(text);
    return { key: found === null ? undefined : trim(found[1]), value: trim(found?.[2]), text: trim(text) };
  });
}

function trim(text: string | undefined): string {
  return (text ?? '').replace(/^[ \t]+|[ \t]+$/g, '');
}

/** Value of a baggage member, decoded. */
export function memberOf(baggage: string, key: string): string | undefined {
  const values = members(baggage).filter((member) => member.key === key);
  const first = values[0]?.value;
  if (first === undefined || values.some(({ value }) => value !== first)) return undefined;
  if (/%(?![0-9a-f]{2})/i.test(first)) return undefined;
  const decoded = first.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return decoded.length > 63 ? undefined : decoded;
}

/** The baggage header with one member of `key`; undefined where it is that way already. */
export function withMember(baggage: string, key: string, tag: string | undefined): string | undefined {
  const all = members(baggage);
  const own = all.filter((member) => member.key === key);
  if (tag === undefined ? own.length === 0 : own.length === 1 && own[0]?.value === tag) return undefined;
  const kept = tag === undefined ? [] : [`${key}=${tag}`];
  for (const { key: other, text } of all) {
    if (text === '' || other === key) continue;
    if (kept.length === 180 || [...kept, text].join(',').length > 8192) break;
    kept.push(text);
  }
  return kept.join(',');
}
