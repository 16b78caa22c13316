import { equal, lenOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * One bucket of the trace map, and the rules for what stays in it. The bytes are a shared-data value; nothing here
 * knows where they came from or what time it is.
 *
 * Layout 1, little endian, 680 bytes:
 *
 *   0      1          8        92       176             596      680
 *   +------+----------+--------+--------+---- … ----+---+--------+
 *   | = 1  | 0        | way 0  | way 1  |           |   | way 7  |
 *   +------+----------+--------+--------+---- … ----+---+--------+
 *
 *   way:  0                8         12        16      18     19       20          83   84
 *         +----------------+---------+---------+-------+------+--------+-----------+----+
 *         | fingerprint u64| expiry  | touched | refs  | flags| tag    | tag bytes | 0  |
 *         | 0 = free       | u32 ms  | u32 ms  | u16   | u8   | length | up to 63  |    |
 *         +----------------+---------+---------+-------+------+--------+-----------+----+
 *
 * Times are the low 32 bits of Unix milliseconds; they wrap every 49 days, so only differences are compared.
 * A way with `refs` > 0 is pinned: a request with this id is in flight, and the way is no victim until `expiry`.
 */
export const WAYS: i32 = 8;
export const BUCKET_SIZE: i32 = 680;
export const MAX_TAG: i32 = 63;
/** Pins per bucket: the other ways stay open, so that requests in flight cannot lock newcomers out. */
export const MAX_PINNED: i32 = 6;
/** Longest time an entry may have left; more than that means that the clock has jumped, and counts as expired. */
export const MAX_LIFE_MS: u32 = 86_400_000;

const LAYOUT: u8 = 1;
const HEADER: usize = 8;
const WAY_SIZE: usize = 84;
const EXPIRY: usize = 8;
const TOUCHED: usize = 12;
const REFS: usize = 16;
const FLAGS: usize = 18;
const TAG_LENGTH: usize = 19;
const TAG: usize = 20;

/** Set at the first look-up: somebody needed this entry, so ids that nobody asks for go before it. */
const LOOKED_UP: u8 = 1;
const MAX_REFS: u16 = 0xffff;

/** What `learn` did; several may hold. */
export namespace Learned {
  /** A new entry. */
  export const STORED: u32 = 1;
  /** The id was known with the same tag. */
  export const REFRESHED: u32 = 2;
  /** This request holds a reference, which `release` must give back. */
  export const PINNED: u32 = 4;
  /** An entry that was still valid had to go. */
  export const EVICTED_LIVE: u32 = 8;
  /** The id was known with another tag, which a request in flight still needs: the old tag stays. */
  export const CONFLICT_KEPT: u32 = 16;
  /** The id was known with another tag, which no request in flight needs: the new tag replaces it. */
  export const CONFLICT_REPLACED: u32 = 32;
}

/** True when `bytes` has the size and layout of a bucket; anything else is rewritten as an empty one. */
export function isBucket(bytes: Slice): bool {
  return lenOf(bytes) === BUCKET_SIZE && load<u8>((bytes >> 32) as usize) === LAYOUT;
}

/** Makes the `BUCKET_SIZE` bytes at `bucket` an empty bucket. */
export function clearBucket(bucket: usize): void {
  memory.fill(bucket, 0, BUCKET_SIZE);
  store<u8>(bucket, LAYOUT);
}

/**
 * Remembers `tag` (1 to 63 bytes) for the id with this `fingerprint` (not 0), for one more request in flight.
 *
 * Pinned, the entry lives `pinLife` ms without any use; unpinned (its bucket is full of pins) `ttl` ms. Of two tags for one id
 * the first wins while a request that brought it is in flight, so that nobody can turn someone else's running
 * request into another lane by sending its id; afterwards the last wins, because it is the one that is wanted now.
 */
export function learn(bucket: usize, fingerprint: u64, tag: Slice, now: u32, ttl: u32, pinLife: u32): u32 {
  const known = find(bucket, fingerprint, now);
  if (known !== 0) {
    if (equal(tagAt(known), tag)) {
      const pinned = addRef(bucket, known, now, ttl, pinLife);
      return Learned.REFRESHED | (pinned ? Learned.PINNED : 0);
    }
    if (load<u16>(known, REFS) > 0) return Learned.CONFLICT_KEPT;
    const pinned = write(bucket, known, fingerprint, tag, now, ttl, pinLife);
    return Learned.CONFLICT_REPLACED | (pinned ? Learned.PINNED : 0);
  }
  const way = victim(bucket, fingerprint, now);
  const evicted = isLive(way, now);
  const pinned = write(bucket, way, fingerprint, tag, now, ttl, pinLife);
  return Learned.STORED | (pinned ? Learned.PINNED : 0) | (evicted ? Learned.EVICTED_LIVE : 0);
}

/** The way that holds `fingerprint` and has not expired, or 0. */
export function find(bucket: usize, fingerprint: u64, now: u32): usize {
  const end = bucket + BUCKET_SIZE;
  for (let way = bucket + HEADER; way < end; way += WAY_SIZE) {
    if (load<u64>(way) === fingerprint && isLive(way, now)) return way;
  }
  return 0;
}

/** The tag of a way that `find` returned; it points into the bucket. */
export function tagAt(way: usize): Slice {
  return slice(way + TAG, min(load<u8>(way, TAG_LENGTH) as i32, MAX_TAG));
}

/**
 * Notes that a way was looked up. True when that changed it and the bucket is worth writing back: at the first look-up,
 * and when less than half of its time was left.
 */
export function touch(way: usize, now: u32, ttl: u32, pinLife: u32): bool {
  const life = load<u16>(way, REFS) > 0 ? pinLife : ttl;
  const first = (load<u8>(way, FLAGS) & LOOKED_UP) === 0;
  if (!first && remaining(way, now) >= life / 2) return false;
  store<u8>(way, load<u8>(way, FLAGS) | LOOKED_UP, FLAGS);
  prolong(way, now, life);
  return true;
}

/**
 * Gives back the reference of one `learn` that answered `PINNED`; with the last one the entry's `ttl` begins. True when
 * the bucket changed: an entry that has expired or was replaced meanwhile needs nothing.
 */
export function release(bucket: usize, fingerprint: u64, now: u32, ttl: u32): bool {
  const way = find(bucket, fingerprint, now);
  if (way === 0) return false;
  const refs = load<u16>(way, REFS);
  if (refs === 0) return false;
  store<u16>(way, refs - 1, REFS);
  if (refs === 1) {
    store<u32>(way, now + ttl, EXPIRY);
    store<u32>(way, now, TOUCHED);
  }
  return true;
}

function remaining(way: usize, now: u32): u32 {
  return load<u32>(way, EXPIRY) - now;
}

function isLive(way: usize, now: u32): bool {
  return load<u64>(way) !== 0 && remaining(way, now) - 1 < MAX_LIFE_MS;
}

/** A look-up or another request never shortens what an entry has left. */
function prolong(way: usize, now: u32, life: u32): void {
  if (remaining(way, now) < life) store<u32>(way, now + life, EXPIRY);
  store<u32>(way, now, TOUCHED);
}

/** Takes a reference unless the bucket has its pins already; then the entry is only prolonged. */
function addRef(bucket: usize, way: usize, now: u32, ttl: u32, pinLife: u32): bool {
  const refs = load<u16>(way, REFS);
  const may = refs > 0 ? refs < MAX_REFS : pinnedWays(bucket, now) < MAX_PINNED;
  if (may) store<u16>(way, refs + 1, REFS);
  prolong(way, now, refs > 0 || may ? pinLife : ttl);
  return may;
}

function write(bucket: usize, way: usize, fingerprint: u64, tag: Slice, now: u32, ttl: u32, pinLife: u32): bool {
  const length = min(lenOf(tag), MAX_TAG);
  memory.fill(way, 0, WAY_SIZE);
  const pinned = pinnedWays(bucket, now) < MAX_PINNED;
  store<u64>(way, fingerprint);
  store<u32>(way, now + (pinned ? pinLife : ttl), EXPIRY);
  store<u32>(way, now, TOUCHED);
  store<u16>(way, pinned ? 1 : 0, REFS);
  store<u8>(way, length as u8, TAG_LENGTH);
  memory.copy(way + TAG, (tag >> 32) as usize, length);
  return pinned;
}

function pinnedWays(bucket: usize, now: u32): i32 {
  const end = bucket + BUCKET_SIZE;
  let count = 0;
  for (let way = bucket + HEADER; way < end; way += WAY_SIZE) {
    if (load<u16>(way, REFS) > 0 && isLive(way, now)) count++;
  }
  return count;
}

/**
 * Where a new entry goes: its own expired place; else a free or expired one; else the oldest that nobody has looked up;
 * else the oldest. Pinned ways are never taken, and because at most six are, there always is one.
 *
 * The order keeps a flood of ids that nobody asks for from pushing out ids that a service has made calls with.
 */
function victim(bucket: usize, fingerprint: u64, now: u32): usize {
  const end = bucket + BUCKET_SIZE;
  let best: usize = 0;
  let bestRank: u64 = 0;
  for (let way = bucket + HEADER; way < end; way += WAY_SIZE) {
    const rank = rankOf(way, fingerprint, now);
    if (rank > bestRank) {
      bestRank = rank;
      best = way;
    }
  }
  // Only bytes that no version of this file wrote can have eight live pins; then the first way goes.
  return best !== 0 ? best : bucket + HEADER;
}

/** The higher, the sooner it goes; 0 = never. Within a class the age in ms decides. */
function rankOf(way: usize, fingerprint: u64, now: u32): u64 {
  if (!isLive(way, now)) return load<u64>(way) === fingerprint ? (4 as u64) << 32 : (3 as u64) << 32;
  if (load<u16>(way, REFS) > 0) return 0;
  const age = (now - load<u32>(way, TOUCHED)) as u64;
  return ((load<u8>(way, FLAGS) & LOOKED_UP) === 0 ? (2 as u64) << 32 : (1 as u64) << 32) | age;
}
