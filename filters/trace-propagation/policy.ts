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
 *         | fingerprint u64| expiry  | touched | lease | flags| tag    | tag bytes | 0  |
 *         | 0 = free       | u32 ms  | u32 ms  | u16   | u8   | length | up to 63  |    |
 *         +----------------+---------+---------+-------+------+--------+-----------+----+
 *
 * Times are the low 32 bits of Unix milliseconds; they wrap every 49 days, so only differences are compared.
 * A way is pinned, and no victim, until its lease ends (units of 64 ms, wrapping every 70 minutes; 0 = none). Who learns takes a short
 * one, so that the many requests that end soon have nothing to give back; what lasts longer renews it. Where buckets are
 * crowded leases are given back when the request ends, so that a flood of short requests cannot fill them with its pins.
 */
export const WAYS: i32 = 8;
export const BUCKET_SIZE: i32 = 680;
export const MAX_TAG: i32 = 63;
/** Pins per bucket: the other ways stay open, so that requests in flight cannot lock newcomers out. */
export const MAX_PINNED: i32 = 6;
/** From this many pins on a bucket is crowded. */
export const CROWD: i32 = 4;
/** Longest time an entry may have left; more than that means that the clock has jumped, and counts as expired. */
export const MAX_LIFE_MS: u32 = 86_400_000;

const LAYOUT: u8 = 1;
const HEADER: usize = 8;
const WAY_SIZE: usize = 84;
const EXPIRY: usize = 8;
const TOUCHED: usize = 12;
const LEASE: usize = 16;
const FLAGS: usize = 18;
const TAG_LENGTH: usize = 19;
const TAG: usize = 20;

/** Set at the first look-up: somebody needed this entry, so ids that nobody asks for go before it. */
const LOOKED_UP: u8 = 1;
/** Lease of a request that has just arrived, ms. */
export const FIRST_LEASE_MS: u32 = 2500;
/** Longest lease, ms. Anything that claims more has been written by a clock that has jumped. */
export const MAX_LEASE_MS: u32 = 16_000;
const LEASE_UNIT_LOG2: u32 = 6;

/** What `learn` did; several may hold. */
export namespace Learned {
  /** A new entry. */
  export const STORED: u32 = 1;
  /** The id was known with the same tag. */
  export const REFRESHED: u32 = 2;
  /** The entry is safe for `FIRST_LEASE_MS`; a request that lasts longer must `renew` in time. */
  export const PINNED: u32 = 4;
  /** An entry that was still valid had to go. */
  export const EVICTED_LIVE: u32 = 8;
  /** The id was known with another tag, which a request in flight still needs: the old tag stays. */
  export const CONFLICT_KEPT: u32 = 16;
  /** The id was known with another tag, which no request in flight needs: the new tag replaces it. */
  export const CONFLICT_REPLACED: u32 = 32;
  /** So many ways of the bucket are pinned that leases should be given back. */
  export const CROWDED: u32 = 64;
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
 * Remembers `tag` (1 to 63 bytes) for the id with this `fingerprint` (not 0), for one more request in flight, `ttl` ms from
 * the end of its lease on.
 *
 * Of two tags for one id the first wins while a request that brought it is in flight, so that nobody can turn someone else's
 * running request into another lane by sending its id; afterwards the last wins, because it is the one that is wanted now.
 */
export function learn(bucket: usize, fingerprint: u64, tag: Slice, now: u32, ttl: u32): u32 {
  const known = find(bucket, fingerprint, now);
  if (known !== 0) {
    if (equal(tagAt(known), tag)) {
      const pinned = pin(bucket, known, now, FIRST_LEASE_MS);
      prolong(known, now, ttl + FIRST_LEASE_MS);
      return Learned.REFRESHED | pinned;
    }
    if (isPinned(known, now)) return Learned.CONFLICT_KEPT;
    return Learned.CONFLICT_REPLACED | write(bucket, known, fingerprint, tag, now, ttl);
  }
  const way = victim(bucket, fingerprint, now);
  const evicted = isLive(way, now);
  const pinned = write(bucket, way, fingerprint, tag, now, ttl);
  return Learned.STORED | pinned | (evicted ? Learned.EVICTED_LIVE : 0);
}

/**
 * Goes on holding what a `learn` has pinned, for `lease` ms (at most `MAX_LEASE_MS`) and `ttl` ms more. True when the bucket
 * changed: an entry that has expired or was replaced meanwhile is gone.
 */
export function renew(bucket: usize, fingerprint: u64, now: u32, ttl: u32, lease: u32): bool {
  const way = find(bucket, fingerprint, now);
  if (way === 0) return false;
  pin(bucket, way, now, lease);
  prolong(way, now, ttl + lease);
  return true;
}

/** End of a lease of `lease` ms that begins `now`, as `release` wants it. */
export function leaseEnd(now: u32, lease: u32): u16 {
  const end = ((now >> LEASE_UNIT_LOG2) + (min(lease, MAX_LEASE_MS) >> LEASE_UNIT_LOG2) + 1) as u16;
  return end !== 0 ? end : 1;
}

/** Gives back a lease that ends at `end`; a longer one is another request's. True when the bucket changed. */
export function release(bucket: usize, fingerprint: u64, now: u32, end: u16): bool {
  const way = find(bucket, fingerprint, now);
  if (way === 0 || load<u16>(way, LEASE) !== end) return false;
  store<u16>(way, 0, LEASE);
  return true;
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
export function touch(way: usize, now: u32, ttl: u32): bool {
  const first = (load<u8>(way, FLAGS) & LOOKED_UP) === 0;
  if (!first && remaining(way, now) >= ttl / 2) return false;
  store<u8>(way, load<u8>(way, FLAGS) | LOOKED_UP, FLAGS);
  prolong(way, now, ttl);
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

function isPinned(way: usize, now: u32): bool {
  return leaseLeft(way, now) > 0;
}

/** In units, rounded up; 0 without a lease. */
function leaseLeft(way: usize, now: u32): u32 {
  const end = load<u16>(way, LEASE);
  const left = (end - ((now >> LEASE_UNIT_LOG2) as u16)) as u16 as u32;
  return end !== 0 && left <= (MAX_LEASE_MS >> LEASE_UNIT_LOG2) + 1 ? left : 0;
}

/** Takes a lease, or keeps a longer one, unless the bucket has its pins already. Bits of `Learned`. */
function pin(bucket: usize, way: usize, now: u32, lease: u32): u32 {
  const left = leaseLeft(way, now);
  const others = pinnedWays(bucket, now);
  const crowded = others >= CROWD ? Learned.CROWDED : 0;
  if (left === 0 && others >= MAX_PINNED) return crowded;
  if (left <= min(lease, MAX_LEASE_MS) >> LEASE_UNIT_LOG2) store<u16>(way, leaseEnd(now, lease), LEASE);
  return crowded | Learned.PINNED;
}

function write(bucket: usize, way: usize, fingerprint: u64, tag: Slice, now: u32, ttl: u32): u32 {
  const length = min(lenOf(tag), MAX_TAG);
  memory.fill(way, 0, WAY_SIZE);
  const pinned = pin(bucket, way, now, FIRST_LEASE_MS);
  store<u64>(way, fingerprint);
  store<u32>(way, now + ttl + ((pinned & Learned.PINNED) !== 0 ? FIRST_LEASE_MS : 0), EXPIRY);
  store<u32>(way, now, TOUCHED);
  store<u8>(way, length as u8, TAG_LENGTH);
  memory.copy(way + TAG, (tag >> 32) as usize, length);
  return pinned;
}

function pinnedWays(bucket: usize, now: u32): i32 {
  const end = bucket + BUCKET_SIZE;
  let count = 0;
  for (let way = bucket + HEADER; way < end; way += WAY_SIZE) {
    if (isPinned(way, now) && isLive(way, now)) count++;
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
  if (isPinned(way, now)) return 0;
  const age = (now - load<u32>(way, TOUCHED)) as u64;
  return ((load<u8>(way, FLAGS) & LOOKED_UP) === 0 ? (2 as u64) << 32 : (1 as u64) << 32) | age;
}
