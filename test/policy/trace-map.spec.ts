import { ascii, equal, Slice, slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import {
  BUCKET_SIZE,
  CROWD,
  clearBucket,
  FIRST_LEASE_MS,
  find,
  isBucket,
  Learned,
  learn,
  leaseEnd,
  MAX_LEASE_MS,
  MAX_LIFE_MS,
  MAX_PINNED,
  release,
  renew,
  tagAt,
  touch,
  WAYS,
} from '../../filters/trace-propagation/policy';

const TTL: u32 = 30_000;
/** Just when a first lease has certainly ended: leases are counted in units of 64 ms. */
const ENDED: u32 = FIRST_LEASE_MS + 128;
const START: u32 = 0xffff_f000;
const DEV1 = ascii('dev1');
const DEV2 = ascii('dev2');
const bucket = heap.alloc(BUCKET_SIZE);

function tagOf(fingerprint: u64, now: u32): string {
  const way = find(bucket, fingerprint, now);
  return way === 0 ? '-' : text(tagAt(way));
}

function add(fingerprint: u64, now: u32, tag: Slice = DEV1): u32 {
  return learn(bucket, fingerprint, tag, now, TTL);
}

/** Stores an id whose request has ended and given its lease back. */
function addEnded(fingerprint: u64, now: u32): u32 {
  const learned = add(fingerprint, now);
  if (learned & Learned.PINNED) release(bucket, fingerprint, now, leaseEnd(now, FIRST_LEASE_MS));
  return learned;
}

function lookUp(fingerprint: u64, now: u32): bool {
  const way = find(bucket, fingerprint, now);
  return way !== 0 && touch(way, now, TTL);
}

describe('a bucket', () => {
  beforeEach(() => {
    clearBucket(bucket);
  });

  it('is told from other bytes', () => {
    expect<bool>(isBucket(slice(bucket, BUCKET_SIZE))).toBe(true);
    expect<bool>(isBucket(slice(bucket, BUCKET_SIZE - 1))).toBe(false);
    store<u8>(bucket, 2);
    expect<bool>(isBucket(slice(bucket, BUCKET_SIZE))).toBe(false);
  });

  it('finds what it learnt and nothing else', () => {
    expect<u32>(add(1, START)).toBe(Learned.STORED | Learned.PINNED);
    expect<string>(tagOf(1, START)).toBe('dev1');
    expect<string>(tagOf(2, START)).toBe('-');
    expect<string>(tagOf(0, START)).toBe('-', 'a free way has fingerprint 0');
  });

  it('keeps tags of 1 and of 63 bytes', () => {
    const long = ascii('a'.repeat(63));
    add(1, START, ascii('x'));
    add(2, START, long);
    expect<string>(tagOf(1, START)).toBe('x');
    expect<bool>(equal(tagAt(find(bucket, 2, START)), long)).toBe(true);
  });

  it('forgets ttl after the lease has ended', () => {
    add(1, START);
    expect<string>(tagOf(1, START + FIRST_LEASE_MS + TTL - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + FIRST_LEASE_MS + TTL)).toBe('-');
  });

  it('remembers a request that goes on for as long as it renews its lease', () => {
    add(1, START);
    expect<bool>(renew(bucket, 1, START + 2000, TTL, 5000)).toBe(true);
    expect<bool>(renew(bucket, 1, START + 6000, TTL, 10_000)).toBe(true);
    expect<string>(tagOf(1, START + 16_000 + TTL - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + 16_000 + TTL)).toBe('-');
    expect<bool>(renew(bucket, 1, START + 16_000 + TTL, TTL, 5000)).toBe(false, 'it is gone');
    expect<bool>(renew(bucket, 2, START, TTL, 5000)).toBe(false, 'it was never there');
  });

  it('keeps what is used', () => {
    add(1, START);
    expect<bool>(lookUp(1, START + 10)).toBe(true);
    expect<bool>(lookUp(1, START + 20)).toBe(false, 'nothing worth writing');
    expect<bool>(lookUp(1, START + 20_000)).toBe(true);
    expect<string>(tagOf(1, START + 20_000 + TTL - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + 20_000 + TTL)).toBe('-');
  });

  it('never shortens what is left', () => {
    renew(bucket, 1, START, TTL, 16_000);
    add(1, START);
    renew(bucket, 1, START, TTL, 16_000);
    add(1, START + 10);
    lookUp(1, START + 10);
    expect<string>(tagOf(1, START + 16_000 + TTL - 1)).toBe('dev1');
  });

  it('takes a clock that has jumped for expiry', () => {
    add(1, START);
    expect<string>(tagOf(1, START + FIRST_LEASE_MS + TTL - MAX_LIFE_MS - 1)).toBe('-');
  });
});

describe('two tags for one id', () => {
  beforeEach(() => {
    clearBucket(bucket);
  });

  it('keeps the first while its request is in flight', () => {
    add(1, START);
    expect<u32>(add(1, START, DEV2)).toBe(Learned.CONFLICT_KEPT);
    renew(bucket, 1, START + 2000, TTL, 5000);
    expect<u32>(add(1, START + 6900, DEV2)).toBe(Learned.CONFLICT_KEPT);
    expect<string>(tagOf(1, START + 6900)).toBe('dev1');
  });

  it('takes the last once its lease has ended', () => {
    add(1, START);
    expect<u32>(add(1, START + ENDED, DEV2)).toBe(Learned.CONFLICT_REPLACED | Learned.PINNED);
    expect<string>(tagOf(1, START + ENDED)).toBe('dev2');
  });

  it('is no conflict when the first has expired', () => {
    add(1, START);
    expect<u32>(add(1, START + ENDED + TTL, DEV2)).toBe(Learned.STORED | Learned.PINNED);
    expect<string>(tagOf(1, START + ENDED + TTL)).toBe('dev2');
  });
});

describe('a full bucket', () => {
  beforeEach(() => {
    clearBucket(bucket);
  });

  it('uses free ways first', () => {
    for (let i = 0; i < WAYS; i++) expect<u32>(add(i + 1, START + i) & Learned.EVICTED_LIVE).toBe(0);
    for (let i = 0; i < WAYS; i++) expect<string>(tagOf(i + 1, START + 10)).toBe('dev1');
  });

  it('gives up an expired way before a valid one', () => {
    for (let i = 0; i < WAYS; i++) add(i + 1, START + i * 1000);
    const later = START + FIRST_LEASE_MS + TTL + 500;
    expect<u32>(add(9, later)).toBe(Learned.STORED | Learned.PINNED);
    // The last two found six pins and are remembered for ttl alone.
    for (let i = 1; i < WAYS - 2; i++) expect<string>(tagOf(i + 1, later)).toBe('dev1');
  });

  it('gives up the oldest that nobody asked for, whatever is older but was asked for', () => {
    for (let i = 0; i < WAYS; i++) add(i + 1, START + i);
    for (let i = 0; i < 3; i++) lookUp(i + 1, START + 10);
    const later = START + ENDED;
    expect<u32>(add(9, later) & Learned.EVICTED_LIVE).not.toBe(0);
    expect<string>(tagOf(4, later)).toBe('-');
    add(10, later + 1);
    expect<string>(tagOf(5, later + 1)).toBe('-');
    for (let i = 0; i < 3; i++) expect<string>(tagOf(i + 1, later + 1)).toBe('dev1');
  });

  it('holds ids that were asked for against a flood of others', () => {
    for (let i = 0; i < WAYS - 1; i++) {
      add(i + 1, START);
      lookUp(i + 1, START + 1);
    }
    for (let i = 0; i < 1000; i++) addEnded(100 + i, START + ENDED + i);
    for (let i = 0; i < WAYS - 1; i++) expect<string>(tagOf(i + 1, START + ENDED + 1000)).toBe('dev1');
  });

  it('says when it is crowded, so that leases are given back', () => {
    for (let i = 0; i < CROWD; i++) expect<u32>(add(i + 1, START) & Learned.CROWDED).toBe(0);
    expect<u32>(add(50, START) & Learned.CROWDED).not.toBe(0);
    expect<bool>(release(bucket, 50, START + 10, leaseEnd(START, FIRST_LEASE_MS))).toBe(true);
    expect<bool>(release(bucket, 50, START + 10, leaseEnd(START, FIRST_LEASE_MS))).toBe(false, 'given back before');
    expect<u32>(add(50, START + 10, DEV2) & Learned.CONFLICT_REPLACED).not.toBe(0);
    renew(bucket, 50, START + 20, TTL, 5000);
    expect<bool>(release(bucket, 50, START + 30, leaseEnd(START + 10, FIRST_LEASE_MS))).toBe(false, 'of somebody else');
    expect<u32>(add(50, START + 30, DEV1)).toBe(Learned.CONFLICT_KEPT);
  });

  it('gives up the longest unused when all were asked for', () => {
    for (let i = 0; i < WAYS; i++) {
      add(i + 1, START);
      lookUp(i + 1, START + ((i * 3) % WAYS) + 1);
    }
    add(9, START + ENDED);
    expect<string>(tagOf(1, START + ENDED)).toBe('-');
  });

  it('pins at most six ways and goes on storing in the others', () => {
    for (let i = 0; i < MAX_PINNED; i++) add(i + 1, START);
    for (let i = 0; i < 100; i++) {
      expect<u32>(add(100 + i, START + i) & ~(Learned.EVICTED_LIVE | Learned.CROWDED)).toBe(
        Learned.STORED,
        'stored without a pin',
      );
    }
    for (let i = 0; i < MAX_PINNED; i++) expect<string>(tagOf(i + 1, START + 100)).toBe('dev1');
    expect<string>(tagOf(199, START + 100)).toBe('dev1');
    expect<string>(tagOf(199, START + 99 + TTL)).toBe('-', 'an entry without a pin lives for ttl');
  });

  it('pins an unpinned id when there is room again', () => {
    for (let i = 0; i < MAX_PINNED; i++) add(i + 1, START);
    add(50, START);
    expect<u32>(add(50, START)).toBe(Learned.REFRESHED | Learned.CROWDED);
    expect<u32>(add(50, START + ENDED)).toBe(Learned.REFRESHED | Learned.PINNED);
    for (let i = 0; i < 100; i++) add(100 + i, START + ENDED + i);
    expect<string>(tagOf(50, START + ENDED + 100)).toBe('dev1');
  });

  it('holds a pin across the wrap of the clock and of the lease', () => {
    // The unit of 64 ms that ends the lease would be number 0, which stands for none.
    const wraps: u32 = (0x10000 << 6) - FIRST_LEASE_MS - 10;
    for (let at: u32 = wraps - 256; at < wraps + 256; at += 16) {
      clearBucket(bucket);
      add(1, at);
      expect<u32>(add(1, at + 2400, DEV2)).toBe(Learned.CONFLICT_KEPT);
    }
    clearBucket(bucket);
    add(1, 0xffff_ffff);
    expect<u32>(add(1, 2000, DEV2)).toBe(Learned.CONFLICT_KEPT);
    expect<u32>(add(1, ENDED, DEV2) & Learned.CONFLICT_REPLACED).not.toBe(0);
  });

  it('survives bytes that nobody wrote', () => {
    memory.fill(bucket, 0xff, BUCKET_SIZE);
    store<u8>(bucket, 1);
    add(7, START);
    expect<string>(tagOf(7, START)).toBe('dev1');
    // Every way claims a live pin and a tag of 255 bytes.
    for (let way = bucket + 8; way < bucket + BUCKET_SIZE; way += 84) {
      store<u32>(way, START + TTL, 8);
      store<u16>(way, ((START + MAX_LEASE_MS) >> 6) as u16, 16);
      store<u8>(way, 255, 19);
    }
    expect<i32>((tagAt(find(bucket, u64.MAX_VALUE, START)) & 0xff) as i32).toBe(63);
    add(8, START);
    expect<string>(tagOf(8, START)).toBe('dev1');
  });
});
