/**
 * The trace map in shared data: its keys, its hash key and the optimistic updates of its buckets. What happens inside a bucket is
 * `policy.ts`.
 *
 * Keys (the number of them is fixed by the configuration, because shared data has no delete):
 *
 *   v1/trace/key            16 bytes, the hash key of this Envoy process
 *   v1/trace/<s>            marks that every bucket of the map of 2^s entries exists
 *   v1/trace/<s>/<bbbbb>    bucket, s as two decimal digits, b in hexadecimal
 *   v1/trace/recent         marks that every chunk exists
 *   v1/trace/recent/<cc>    chunk of recent untagged ids
 */
import {
  ascii,
  getShared,
  lenOf,
  NONE,
  OVERWRITE,
  present,
  ptrOf,
  randomBytes,
  SharedUpdate,
  Slice,
  Status,
  setShared,
  slice,
  updateShared,
} from 'proxy-wasm-assemblyscript-sdk';
import { BUCKET_SIZE, clearBucket, find, isBucket, learn, release, renew, tagAt, touch, WAYS } from './policy';
import { CHUNK_SIZE, CHUNKS, chunkOf, clearChunk, isChunk, isRecent, noteRecent } from './recent';
import { sipHash128, sipHigh, sipLow } from './siphash';

/** Tries of a compare-and-set before the update is given up: with 8,192 buckets two losses in a row are rare. */
export const ATTEMPTS: i32 = 4;

const HASH_KEY = ascii('v1/trace/key');
const HASH_KEY_SIZE: i32 = 16;
const RECENT = ascii('v1/trace/recent');
const RECENT_KEY = ascii('v1/trace/recent/00');
const READY = ascii('1');

/** Takes the place of a value that is missing or not ours. */
const fresh: usize = memory.data(680, 8);

/** The two halves of an id's keyed hash. */
let low: u64 = 0;
let high: u64 = 0;
let k0: u64 = 0;
let k1: u64 = 0;

/**
 * Hashes a trace id: `idPlace()` says where it belongs, `idFingerprint()` who it is. 2^-64 is the chance that two ids of
 * one bucket are mistaken for each other.
 */
export function hashId(id: Slice): void {
  sipHash128(id, k0, k1);
  low = sipLow();
  high = sipHigh();
  // 0 marks a free way.
  if (high === 0) high = 1;
}

export function idPlace(): u64 {
  return low;
}

export function idFingerprint(): u64 {
  return high;
}

/**
 * Makes the hash key, or takes the one that is there: inbound and outbound VMs and all workers use the same. To be
 * called at configure time, which Envoy runs on its main thread before any worker. False without randomness.
 */
export function prepareHashKey(): bool {
  let key = getShared(HASH_KEY);
  if (lenOf(key) !== HASH_KEY_SIZE) {
    if (!randomBytes(fresh, HASH_KEY_SIZE)) return false;
    key = slice(fresh, HASH_KEY_SIZE);
    if (setShared(HASH_KEY, key, OVERWRITE) !== Status.Ok) return false;
  }
  k0 = load<u64>(ptrOf(key));
  k1 = load<u64>(ptrOf(key), 8);
  return true;
}

/** The map of 2^`sizeLog2` entries. */
@final
export class TraceMap {
  private mark: Slice;
  private key: Slice;
  private mask: u64;
  private learning: Learning;
  private lookup: Lookup;
  private renewal: Renewal;
  private ending: Ending = new Ending();

  constructor(sizeLog2: i32, ttl: u32) {
    const name = 'v1/trace/' + sizeLog2.toString().padStart(2, '0');
    this.mark = ascii(name);
    this.key = ascii(name + '/00000');
    this.mask = (1 << sizeLog2) / WAYS - 1;
    this.learning = new Learning(ttl);
    this.lookup = new Lookup(ttl);
    this.renewal = new Renewal(ttl);
  }

  /** Creates every bucket, so that later no memory is taken and no update can find its key missing. At configure time. */
  prepare(): void {
    if (present(getShared(this.mark))) return;
    clearBucket(fresh);
    for (let i: u64 = 0; i <= this.mask; i++) setShared(this.bucketKey(i), slice(fresh, BUCKET_SIZE), OVERWRITE);
    setShared(this.mark, READY, OVERWRITE);
  }

  /** Remembers the id hashed last. Bits of `Learned`; 0 when every attempt lost. */
  learn(tag: Slice, now: u32): u32 {
    const update = this.learning;
    update.fingerprint = high;
    update.tag = tag;
    update.now = now;
    const status = updateShared(this.bucketKey(low & this.mask), ATTEMPTS, update);
    return status === Status.Ok ? update.learned : 0;
  }

  /** The tag of the id hashed last, valid until the callback ends, or `NONE`. */
  find(now: u32): Slice {
    const update = this.lookup;
    update.fingerprint = high;
    update.now = now;
    update.tag = NONE;
    // When every attempt to note the look-up lost, the tag that was read is none the worse.
    updateShared(this.bucketKey(low & this.mask), ATTEMPTS, update);
    return update.tag;
  }

  /** Holds what a `learn` has `PINNED` for `lease` ms more. False when every attempt lost; then the lease ends as it was. */
  renew(place: u64, fingerprint: u64, now: u32, lease: u32): bool {
    const update = this.renewal;
    update.fingerprint = fingerprint;
    update.now = now;
    update.lease = lease;
    return updateShared(this.bucketKey(place & this.mask), ATTEMPTS, update) === Status.Ok;
  }

  /** Gives back a lease. False when every attempt lost; then it runs out by itself. */
  release(place: u64, fingerprint: u64, now: u32, end: u16): bool {
    const update = this.ending;
    update.fingerprint = fingerprint;
    update.now = now;
    update.end = end;
    return updateShared(this.bucketKey(place & this.mask), ATTEMPTS, update) === Status.Ok;
  }

  private bucketKey(index: u64): Slice {
    writeHex(this.key, index, 5);
    return this.key;
  }
}

@final
class Learning extends SharedUpdate {
  fingerprint: u64 = 0;
  tag: Slice = NONE;
  now: u32 = 0;
  learned: u32 = 0;

  constructor(private ttl: u32) {
    super();
  }

  next(current: Slice): Slice {
    const bucket = bucketOf(current);
    this.learned = learn(bucket, this.fingerprint, this.tag, this.now, this.ttl);
    return slice(bucket, BUCKET_SIZE);
  }
}

@final
class Lookup extends SharedUpdate {
  fingerprint: u64 = 0;
  now: u32 = 0;
  tag: Slice = NONE;

  constructor(private ttl: u32) {
    super();
  }

  next(current: Slice): Slice {
    if (!isBucket(current)) return NONE;
    const way = find(ptrOf(current), this.fingerprint, this.now);
    if (way === 0) return NONE;
    this.tag = tagAt(way);
    return touch(way, this.now, this.ttl) ? current : NONE;
  }
}

@final
class Renewal extends SharedUpdate {
  fingerprint: u64 = 0;
  now: u32 = 0;
  lease: u32 = 0;

  constructor(private ttl: u32) {
    super();
  }

  next(current: Slice): Slice {
    if (!isBucket(current)) return NONE;
    return renew(ptrOf(current), this.fingerprint, this.now, this.ttl, this.lease) ? current : NONE;
  }
}

@final
class Ending extends SharedUpdate {
  fingerprint: u64 = 0;
  now: u32 = 0;
  end: u16 = 0;

  next(current: Slice): Slice {
    if (!isBucket(current)) return NONE;
    return release(ptrOf(current), this.fingerprint, this.now, this.end) ? current : NONE;
  }
}

/** The recent untagged ids. */
@final
export class RecentIds {
  private noting: Noting = new Noting();

  /** `generation` in ms: an id is remembered for one to two of them. */
  constructor(private generation: u32) {}

  prepare(): void {
    if (present(getShared(RECENT))) return;
    clearChunk(fresh);
    for (let i = 0; i < CHUNKS; i++) setShared(recentKey(i), slice(fresh, CHUNK_SIZE), OVERWRITE);
    setShared(RECENT, READY, OVERWRITE);
  }

  /** Notes the id hashed last. False when every attempt lost. */
  note(now: u32): bool {
    this.noting.place = low;
    this.noting.generation = now / this.generation;
    return updateShared(recentKey(chunkOf(low)), ATTEMPTS, this.noting) === Status.Ok;
  }

  /** Whether the id of this place has been noted lately; sometimes true for others. */
  has(place: u64, now: u32): bool {
    const chunk = getShared(recentKey(chunkOf(place)));
    return isChunk(chunk) && isRecent(ptrOf(chunk), place, now / this.generation);
  }
}

@final
class Noting extends SharedUpdate {
  place: u64 = 0;
  generation: u32 = 0;

  next(current: Slice): Slice {
    let chunk = fresh;
    if (isChunk(current)) chunk = ptrOf(current);
    else clearChunk(chunk);
    return noteRecent(chunk, this.place, this.generation) ? slice(chunk, CHUNK_SIZE) : NONE;
  }
}

/** Memory of a bucket that may be changed: the host's copy, or an empty one in place of what is not ours. */
function bucketOf(current: Slice): usize {
  if (isBucket(current)) return ptrOf(current);
  clearBucket(fresh);
  return fresh;
}

function recentKey(index: i32): Slice {
  writeHex(RECENT_KEY, index as u64, 2);
  return RECENT_KEY;
}

/** Writes `digits` hexadecimal digits over the end of `key`. */
function writeHex(key: Slice, value: u64, digits: i32): void {
  const end = ptrOf(key) + lenOf(key);
  for (let i = 1; i <= digits; i++) {
    const digit = ((value >> (((i - 1) * 4) as u64)) & 15) as u8;
    store<u8>(end - i, digit < 10 ? 0x30 + digit : 0x57 + digit);
  }
}
