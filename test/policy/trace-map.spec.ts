import { ascii, equal, Slice, slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import {
  BUCKET_SIZE,
  clearBucket,
  find,
  isBucket,
  Learned,
  learn,
  MAX_LIFE_MS,
  MAX_PINNED,
  release,
  tagAt,
  touch,
  WAYS,
} from '../../filters/trace-propagation/policy';

const TTL: u32 = 30_000;
const PIN: u32 = 600_000;
const START: u32 = 0xffff_f000;
const DEV1 = ascii('dev1');
const DEV2 = ascii('dev2');
const bucket = heap.alloc(BUCKET_SIZE);

function tagOf(fingerprint: u64, now: u32): string {
  const way = find(bucket, fingerprint, now);
  return way === 0 ? '-' : text(tagAt(way));
}

function add(fingerprint: u64, now: u32, tag: Slice = DEV1): u32 {
  return learn(bucket, fingerprint, tag, now, TTL, PIN);
}

/** Stores an id whose request has ended already. */
function addEnded(fingerprint: u64, now: u32): u32 {
  const learned = add(fingerprint, now);
  if (learned & Learned.PINNED) release(bucket, fingerprint, now, TTL);
  return learned;
}

function lookUp(fingerprint: u64, now: u32): bool {
  const way = find(bucket, fingerprint, now);
  return way !== 0 && touch(way, now, TTL, PIN);
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

  it('forgets ttl after the last request has ended', () => {
    add(1, START);
    add(1, START);
    expect<bool>(release(bucket, 1, START + 1000, TTL)).toBe(true);
    expect<string>(tagOf(1, START + 1000 + TTL)).toBe('dev1', 'one request is still in flight');
    expect<bool>(release(bucket, 1, START + 100_000, TTL)).toBe(true);
    expect<string>(tagOf(1, START + 100_000 + TTL - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + 100_000 + TTL)).toBe('-');
  });

  it('counts no release twice', () => {
    add(1, START);
    expect<bool>(release(bucket, 1, START, TTL)).toBe(true);
    expect<bool>(release(bucket, 1, START + 5, TTL)).toBe(false);
    expect<bool>(release(bucket, 2, START, TTL)).toBe(false);
    expect<string>(tagOf(1, START + TTL)).toBe('-', 'the second release prolonged nothing');
  });

  it('lets a pin expire that is never released nor used', () => {
    add(1, START);
    expect<string>(tagOf(1, START + PIN - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + PIN)).toBe('-');
    expect<bool>(release(bucket, 1, START + PIN, TTL)).toBe(false);
  });

  it('keeps what is used', () => {
    addEnded(1, START);
    expect<bool>(lookUp(1, START + 10)).toBe(true);
    expect<bool>(lookUp(1, START + 20)).toBe(false, 'nothing worth writing');
    expect<bool>(lookUp(1, START + 20_000)).toBe(true);
    expect<string>(tagOf(1, START + 20_000 + TTL - 1)).toBe('dev1');
    expect<string>(tagOf(1, START + 20_000 + TTL)).toBe('-');
  });

  it('prolongs a used pin by its own time', () => {
    add(1, START);
    expect<bool>(lookUp(1, START + 10)).toBe(true);
    expect<bool>(lookUp(1, START + PIN / 2 + 20)).toBe(true);
    expect<string>(tagOf(1, START + PIN + 10)).toBe('dev1');
  });

  it('never shortens what is left, where pins are set to be shorter than ttl', () => {
    addEnded(1, START);
    learn(bucket, 1, DEV1, START + 10, TTL, 1000);
    expect<string>(tagOf(1, START + 5000)).toBe('dev1');
  });

  it('takes a clock that has jumped for expiry', () => {
    add(1, START);
    expect<string>(tagOf(1, START + PIN - MAX_LIFE_MS - 1)).toBe('-');
  });
});

describe('two tags for one id', () => {
  beforeEach(() => {
    clearBucket(bucket);
  });

  it('keeps the first while its request is in flight', () => {
    add(1, START);
    expect<u32>(add(1, START, DEV2)).toBe(Learned.CONFLICT_KEPT);
    expect<string>(tagOf(1, START)).toBe('dev1');
    release(bucket, 1, START, TTL);
    expect<string>(tagOf(1, START + TTL)).toBe('-', 'the refused request held no reference');
  });

  it('takes the last once that has ended', () => {
    addEnded(1, START);
    expect<u32>(add(1, START + 1, DEV2)).toBe(Learned.CONFLICT_REPLACED | Learned.PINNED);
    expect<string>(tagOf(1, START + 1)).toBe('dev2');
  });

  it('is no conflict when the first has expired', () => {
    addEnded(1, START);
    expect<u32>(add(1, START + TTL, DEV2)).toBe(Learned.STORED | Learned.PINNED);
    expect<string>(tagOf(1, START + TTL)).toBe('dev2');
  });
});

describe('a full bucket', () => {
  beforeEach(() => {
    clearBucket(bucket);
  });

  it('uses free ways first', () => {
    for (let i = 0; i < WAYS; i++) {
      expect<bool>((addEnded(i + 1, START + i) & Learned.EVICTED_LIVE) === 0).toBe(true);
    }
    for (let i = 0; i < WAYS; i++) expect<string>(tagOf(i + 1, START + 10)).toBe('dev1');
  });

  it('gives up an expired way before a valid one', () => {
    for (let i = 0; i < WAYS; i++) addEnded(i + 1, START + i * 1000);
    const later = START + TTL + 500;
    expect<u32>(add(9, later)).toBe(Learned.STORED | Learned.PINNED);
    for (let i = 1; i < WAYS; i++) expect<string>(tagOf(i + 1, later)).toBe('dev1');
  });

  it('gives up the oldest that nobody asked for, whatever is older but was asked for', () => {
    for (let i = 0; i < WAYS; i++) addEnded(i + 1, START + i);
    for (let i = 0; i < 3; i++) lookUp(i + 1, START + 10);
    expect<bool>((addEnded(9, START + 20) & Learned.EVICTED_LIVE) !== 0).toBe(true);
    expect<string>(tagOf(4, START + 20)).toBe('-');
    addEnded(10, START + 21);
    expect<string>(tagOf(5, START + 21)).toBe('-');
    for (let i = 0; i < 3; i++) expect<string>(tagOf(i + 1, START + 21)).toBe('dev1');
  });

  it('holds ids that were asked for against a flood of others', () => {
    for (let i = 0; i < WAYS - 1; i++) {
      addEnded(i + 1, START);
      lookUp(i + 1, START + 1);
    }
    for (let i = 0; i < 1000; i++) addEnded(100 + i, START + 2 + i);
    for (let i = 0; i < WAYS - 1; i++) expect<string>(tagOf(i + 1, START + 1002)).toBe('dev1');
  });

  it('gives up the longest unused when all were asked for', () => {
    for (let i = 0; i < WAYS; i++) {
      addEnded(i + 1, START);
      lookUp(i + 1, START + ((i * 3) % WAYS) + 1);
    }
    addEnded(9, START + 20);
    expect<string>(tagOf(1, START + 20)).toBe('-');
  });

  it('pins at most six ways and goes on storing in the others', () => {
    for (let i = 0; i < MAX_PINNED; i++) add(i + 1, START);
    for (let i = 0; i < 100; i++) {
      expect<u32>(add(100 + i, START + i) & ~Learned.EVICTED_LIVE).toBe(Learned.STORED, 'stored without a pin');
    }
    for (let i = 0; i < MAX_PINNED; i++) expect<string>(tagOf(i + 1, START + 100)).toBe('dev1');
    expect<string>(tagOf(199, START + 100)).toBe('dev1');
    expect<string>(tagOf(199, START + 99 + TTL)).toBe('-', 'an entry without a pin lives for ttl');
  });

  it('pins an unpinned id when there is room again', () => {
    for (let i = 0; i < MAX_PINNED; i++) add(i + 1, START);
    add(50, START);
    expect<u32>(add(50, START)).toBe(Learned.REFRESHED);
    release(bucket, 1, START, TTL);
    expect<u32>(add(50, START)).toBe(Learned.REFRESHED | Learned.PINNED);
    expect<string>(tagOf(50, START + TTL)).toBe('dev1');
  });

  it('survives bytes that nobody wrote', () => {
    memory.fill(bucket, 0xff, BUCKET_SIZE);
    store<u8>(bucket, 1);
    add(7, START);
    expect<string>(tagOf(7, START)).toBe('dev1');
    // Every way claims a live pin and a tag of 255 bytes.
    for (let way = bucket + 8; way < bucket + BUCKET_SIZE; way += 84) store<u32>(way, START + PIN, 8);
    expect<i32>((tagAt(find(bucket, u64.MAX_VALUE, START)) & 0xff) as i32).toBe(63);
    add(8, START);
    expect<string>(tagOf(8, START)).toBe('dev1');
  });
});
