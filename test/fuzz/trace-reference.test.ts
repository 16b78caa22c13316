/**
 * The pure parts of trace-propagation against the reference model.
 * CAUSEWAY_SCALE=1 is full size; CAUSEWAY_SEED repeats or varies a run.
 */
import { readFile } from 'node:fs/promises';
import { type ASUtil, instantiateSync } from '@assemblyscript/loader';
import { beforeAll, describe, expect, it } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scale } from '../support/scale.ts';
import { anyBaggage, anyTag, anyValue, Random } from './trace-inputs.ts';
import {
  FIRST_LEASE,
  FORMATS,
  leaseEnd,
  lowerCase,
  memberOf,
  ReferenceBucket,
  sipHash128,
  stickyHash,
  traceId,
  withMember,
} from './trace-reference.ts';

const SCALE = scale();
const SEED = Number(process.env.CAUSEWAY_SEED ?? 1);
const TTL = 30_000;
/** Longer than anything lasts. */
const FOREVER = 600_000;
const NONE = (1n << 64n) - 1n;

/** AssemblyScript's `u64` are bigints, signed in the results. */
interface Policy {
  room(size: number): number;
  traceIdOf(format: number, value: bigint): bigint;
  stickyHash(id: bigint, seed: bigint): bigint;
  sipHash128(id: bigint, k0: bigint, k1: bigint): void;
  sipLow(): bigint;
  sipHigh(): bigint;
  memberOf(baggage: bigint, key: bigint): bigint;
  withMember(baggage: bigint, key: bigint, tag: bigint): bigint;
  clearBucket(bucket: number): void;
  learn(bucket: number, fingerprint: bigint, tag: bigint, now: number, ttl: number): number;
  find(bucket: number, fingerprint: bigint, now: number): number;
  tagAt(way: number): bigint;
  touch(way: number, now: number, ttl: number): number;
  leaseEnd(now: number, lease: number): number;
  release(bucket: number, fingerprint: bigint, now: number, end: number): number;
  renew(bucket: number, fingerprint: bigint, now: number, ttl: number, lease: number): number;
  _initialize(): void;
}

let policy: ASUtil & Policy;
let input: number;
let second: number;

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);

/** Writes a binary string into the module and answers its slice. */
function put(text: string, at: number): bigint {
  Buffer.from(policy.memory?.buffer ?? new ArrayBuffer(0)).write(text, at, 'latin1');
  return (BigInt(at) << 32n) | BigInt(text.length);
}

function take(slice: bigint): string | undefined {
  const bits = unsigned(slice);
  if (bits === NONE) return undefined;
  const [at, length] = [Number(bits >> 32n), Number(bits & 0xffffffffn)];
  return Buffer.from(policy.memory?.buffer ?? new ArrayBuffer(0), at, length).toString('latin1');
}

/** The failing case in words that repeat it. */
function seeded(round: number, what: unknown): string {
  return `seed ${SEED}, round ${round}: ${JSON.stringify(what).slice(0, 500)}`;
}

beforeAll(async () => {
  const bytes = await readFile(await compilePlugin('test/policy/trace-exports.ts'));
  // The module's own `abort` logs before it traps.
  const imports: Record<string, Record<string, unknown>> = { env: { proxy_log: () => 0 } };
  const { exports } = instantiateSync<Policy & Record<string, unknown>>(bytes, imports);
  policy = exports;
  policy._initialize();
  input = policy.room(65_536);
  second = policy.room(4096);
});

describe('the pure parts', () => {
  it('find the same trace ids and hash them alike', () => {
    const random = new Random(SEED);
    const found = new Map<string, number>();
    for (let round = 0; round < 200_000 / SCALE; round++) {
      const index = random.below(FORMATS.length);
      const format = FORMATS[index] ?? 'plain';
      const value = anyValue(random, format);
      const slice = policy.traceIdOf(index, put(value, input));
      const id = take(slice);
      const expected = traceId(format, value);
      if ((id === undefined ? undefined : lowerCase(id)) !== expected) {
        expect.fail(`${seeded(round, { format, value })}: ${id}, expected ${expected}`);
      }
      found.set(format, (found.get(format) ?? 0) + (id === undefined ? 0 : 1));
      if (id === undefined || expected === undefined || id.length > 400) continue;
      const [k0, k1] = [BigInt(random.below(2 ** 32)) << 7n, BigInt(random.below(2 ** 32))];
      policy.sipHash128(slice, k0, k1);
      const hashes = [policy.sipLow(), policy.sipHigh(), policy.stickyHash(slice, k1)].map(unsigned);
      const wanted = [...sipHash128(expected, k0, k1), stickyHash(expected, k1)];
      if (String(hashes) !== String(wanted)) expect.fail(`${seeded(round, { format, value })}: ${hashes}`);
    }
    for (const format of FORMATS) expect(found.get(format), format).toBeGreaterThan(10_000 / SCALE);
  });

  it('read and write the same baggage', () => {
    const random = new Random(SEED + 1);
    let read = 0;
    let written = 0;
    for (let round = 0; round < 100_000 / SCALE; round++) {
      const baggage = anyBaggage(random, 'lane');
      const tag = random.chance(80) ? anyTag(random).slice(0, 63) : undefined;
      const key = put('lane', second);
      const member = take(policy.memberOf(put(baggage, input), key));
      if (member !== memberOf(baggage, 'lane')) expect.fail(`${seeded(round, baggage)}: ${member}`);
      const result = take(
        policy.withMember(put(baggage, input), key, tag === undefined ? NONE : put(tag, second + 64)),
      );
      if (result !== withMember(baggage, 'lane', tag)) expect.fail(`${seeded(round, { baggage, tag })}: ${result}`);
      read += member === undefined ? 0 : 1;
      written += result === undefined ? 0 : 1;
    }
    expect(Math.min(read, written)).toBeGreaterThan(10_000 / SCALE);
  });

  it('keep the same entries in a bucket', () => {
    const random = new Random(SEED + 2);
    const seen = new Map<string, number>();
    const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
    for (let round = 0; round < 4000 / SCALE; round++) {
      const bucket = input;
      policy.clearBucket(bucket);
      const model = new ReferenceBucket(TTL);
      // Near the place where the 32-bit milliseconds start again.
      let now = 2 ** 32 * 400 - random.below(200_000);
      for (let step = 0; step < 500; step++) {
        now += random.pick([0, 1, 10, 500, random.below(TTL), random.below(100) === 0 ? FOREVER : 0]);
        const id = BigInt(random.below(14) + 1);
        const where = seeded(round, { step, id: String(id) });
        const action = random.below(10);
        if (action < 4) {
          const tag = random.chance(90) ? 'dev1' : random.pick(['dev2', 'd'.repeat(63)]);
          const bits = policy.learn(bucket, id, put(tag, second), now | 0, TTL);
          const { what, pinned, crowded, evictedLive } = model.learn(id, tag, now);
          const word = { stored: 1, refreshed: 2, 'conflict kept': 16, 'conflict replaced': 32 }[what];
          const expected = word | (pinned ? 4 : 0) | (evictedLive ? 8 : 0) | (crowded ? 64 : 0);
          if (bits !== expected) expect.fail(`${where}: learn ${bits}, expected ${expected}`);
          count(`${what}${pinned ? ' pinned' : ''}${evictedLive ? ' evicting' : ''}`);
        } else if (action < 7) {
          const way = policy.find(bucket, id, now | 0);
          const changed = way !== 0 && policy.touch(way, now | 0, TTL) !== 0;
          const tag = way === 0 ? undefined : take(policy.tagAt(way));
          const expected = model.lookUp(id, now);
          if (tag !== expected.tag || changed !== expected.changed) expect.fail(`${where}: look-up ${tag} ${changed}`);
          count(tag === undefined ? 'miss' : 'hit');
        } else if (action < 8) {
          const [begin, lease] = [now - random.pick([0, 1, 500, FIRST_LEASE]), random.pick([64, FIRST_LEASE, 16_000])];
          const released = policy.release(bucket, id, now | 0, policy.leaseEnd(begin | 0, lease)) !== 0;
          if (released !== model.release(id, now, leaseEnd(begin, lease))) expect.fail(`${where}: release ${released}`);
          count(released ? 'released' : 'nothing to release');
        } else {
          const lease = random.pick([64, FIRST_LEASE, 16_000, 20_000]);
          const renewed = policy.renew(bucket, id, now | 0, TTL, lease) !== 0;
          if (renewed !== model.renew(id, now, lease)) expect.fail(`${where}: renew ${renewed}`);
          count(renewed ? 'renewed' : 'nothing to renew');
        }
      }
    }
    for (const what of [
      'stored pinned',
      'stored evicting',
      'refreshed pinned',
      'refreshed',
      'conflict kept',
      'released',
      'renewed',
      'hit',
      'miss',
    ]) {
      expect(seen.get(what) ?? 0, what).toBeGreaterThan(1000 / SCALE);
    }
  });
});
