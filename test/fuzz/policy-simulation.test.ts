import { beforeAll, describe, expect, it, vi } from 'vitest';
import { scaled } from '../support/scale.ts';
import { PolicyModule } from './policy-build.ts';
import { labelSets } from './reference/lane-fallback.ts';
import { decodeList, encodeList } from './reference/protobuf.ts';
import { Random, shown } from './reference/random.ts';
import { SIPHASH_VECTORS } from './reference/siphash-vectors.ts';
import { traceValue, uuid } from './reference/trace-values.ts';
import {
  FIRST_LEASE,
  FORMATS,
  leaseEnd,
  lowerCase,
  ReferenceMap,
  sipHash128,
  stickyHash,
  traceId,
} from './trace-reference.ts';

// At full size on a busy machine.
vi.setConfig({ testTimeout: 900_000 });

let policy: PolicyModule;

beforeAll(async () => {
  policy = await PolicyModule.load();
}, 240_000);

function moduleTraceId(format: number, value: string): string | undefined {
  const id = policy.take(policy.exports.traceIdOf(format, policy.give(value)));
  return id === undefined ? undefined : lowerCase(id);
}

function moduleSticky(format: number, value: string): bigint {
  const id = policy.exports.traceIdOf(format, policy.give(value));
  return BigInt.asUintN(64, policy.exports.stickyHash(id, 0n));
}

describe('trace ids', () => {
  for (const [number, format] of FORMATS.entries()) {
    it(`${format}: the reference's id for whatever arrives`, () => {
      const cases = scaled(200_000, 2_000);
      let found = 0;
      for (let seed = 1; seed <= cases; seed++) {
        const value = traceValue(new Random(seed * 8 + number), format);
        const wanted = traceId(format, value);
        if (wanted !== undefined) found++;
        const given = moduleTraceId(number, value);
        if (given !== wanted) expect.fail(`seed ${seed}: ${shown({ format, value, wanted, given })}`);
      }
      expect(found, 'cases with an id').toBeGreaterThan(cases * 0.3);
      expect(cases - found, 'cases without one').toBeGreaterThan(cases * 0.01);
    });
  }

  it('hash alike in module and reference, whatever their letter case', () => {
    for (let seed = 1; seed <= scaled(20_000, 1_000); seed++) {
      const random = new Random(seed);
      const id = random.bytes(random.pick([1, 7, 8, 9, 15, 16, 31, 32, 35, 200]));
      const [k0, k1] = [random.u64(), random.u64()];
      const slice = policy.give(id);
      policy.exports.sipHash128(slice, k0, k1);
      const given = [policy.exports.sipLow(), policy.exports.sipHigh()].map((half) => BigInt.asUintN(64, half));
      const sticky = BigInt.asUintN(64, policy.exports.stickyHash(slice, k0));
      const wanted = { sip: sipHash128(lowerCase(id), k0, k1), sticky: stickyHash(lowerCase(id), k0) };
      expect({ sip: given, sticky }, `seed ${seed}: ${shown(id)}`).toEqual(wanted);
    }
  });
});

describe('SipHash', () => {
  it('agrees with the published vectors, module and reference', () => {
    const [k0, k1] = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n];
    for (const [length, vector] of SIPHASH_VECTORS.entries()) {
      const input = String.fromCharCode(...Array.from({ length }, (_, i) => i));
      const bytes = Buffer.alloc(16);
      policy.exports.sipHash128(policy.give(input), k0, k1);
      bytes.writeBigUInt64LE(BigInt.asUintN(64, policy.exports.sipLow()));
      bytes.writeBigUInt64LE(BigInt.asUintN(64, policy.exports.sipHigh()), 8);
      expect(bytes.toString('hex'), `${length} bytes`).toBe(vector);
      const [low, high] = sipHash128(input, k0, k1);
      bytes.writeBigUInt64LE(low);
      bytes.writeBigUInt64LE(high, 8);
      expect(bytes.toString('hex'), `reference, ${length} bytes`).toBe(vector);
    }
  });
});

describe('percentages', () => {
  const PERCENTS = [0, 0.01, 1, 10, 33.3, 50, 99.9, 100];

  /** Draws `traces` random ids; how many are in, with six standard deviations as the bound of chance. */
  function expectShare(percent: number, draws: (sticky: bigint) => boolean): void {
    const traces = scaled(1_000_000, 50_000);
    const random = new Random(percent * 1000 + 7);
    let drawn = 0;
    for (let i = 0; i < traces; i++) if (draws(moduleSticky(0, uuid(random)))) drawn++;
    const share = percent / 100;
    const deviation = Math.sqrt(traces * share * (1 - share));
    expect(Math.abs(drawn - traces * share), `${drawn} of ${traces} at ${percent} %`).toBeLessThanOrEqual(
      6 * deviation,
    );
  }

  function shareOf(percent: number, name: string): (sticky: bigint) => boolean {
    const share = policy.withStrings([name], (text) => policy.exports.__pin(policy.exports.share(percent, text ?? 0)));
    return (sticky) => policy.exports.shareDraws(share, sticky) !== 0;
  }

  function ruleOf(percent: number, name: string): (sticky: bigint) => boolean {
    const matcher = JSON.stringify({ percentage: { percent } });
    const rule = policy.withStrings([matcher, name], (json, text) =>
      policy.exports.__pin(policy.exports.rule(json ?? 0, text ?? 0)),
    );
    return (sticky) => policy.exports.ruleDraws(rule, sticky) !== 0;
  }

  for (const percent of PERCENTS) {
    it(`steering draws ${percent} % of all traces`, () => expectShare(percent, shareOf(percent, 'canary')));
    it(`a tagging rule draws ${percent} % of all traces`, () => expectShare(percent, ruleOf(percent, 'canary')));
  }

  it('draw independently under different names, and alike under the same', () => {
    const traces = scaled(1_000_000, 50_000);
    const first = shareOf(30, 'a');
    const second = shareOf(30, 'b');
    const again = ruleOf(30, 'a');
    const random = new Random(11);
    let both = 0;
    for (let i = 0; i < traces; i++) {
      const sticky = moduleSticky(0, uuid(random));
      if (first(sticky) && second(sticky)) both++;
      if (again(sticky) !== first(sticky)) expect.fail(`${sticky}: tagging and steering differ under one name`);
    }
    expect(Math.abs(both - traces * 0.09)).toBeLessThanOrEqual(6 * Math.sqrt(traces * 0.09 * 0.91));
  });

  it('spread the choice among targets by weight', () => {
    const traces = scaled(1_000_000, 50_000);
    const share = policy.withStrings(['spread'], (text) => policy.exports.__pin(policy.exports.share(100, text ?? 0)));
    const random = new Random(12);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < traces; i++) {
      const pick = policy.exports.sharePick(share, moduleSticky(0, uuid(random)), counts.length) >>> 0;
      counts[pick] = (counts[pick] ?? 0) + 1;
    }
    const deviation = Math.sqrt(traces * 0.1 * 0.9);
    expect(counts).toHaveLength(10);
    for (const count of counts) expect(Math.abs(count - traces / 10)).toBeLessThanOrEqual(6 * deviation);
  });

  it('are the same on every hop, however the id is written there', () => {
    const HEX = '0123456789abcdef';
    for (let seed = 1; seed <= scaled(20_000, 1_000); seed++) {
      const random = new Random(seed);
      const id = uuid(random);
      const rewritten = id.slice(0, 14) + random.text(1, HEX) + id.slice(15);
      const short = random.text(16, '123456789abcdef');
      const long = '0'.repeat(16) + short;
      const span = (): string => `1${random.text(15, HEX)}`;
      const hops: [format: (typeof FORMATS)[number], values: string[]][] = [
        ['plain', [id, rewritten, rewritten.toUpperCase(), ` ${id}\t`]],
        ['traceparent', [`00-${long}-${span()}-00`, `00-${long}-${span()}-01`, `01-${long}-${span()}-01-later`]],
        ['b3', [`${short}-${span()}`, `${long}-${span()}-1`, `${short.toUpperCase()}-${span()}-1-${span()}`]],
        ['b3-traceid', [short, long]],
        ['uber-trace-id', [`${short}:${span()}:0:1`, `${long}%3A${span()}%3A${span()}%3A0`]],
      ];
      for (const [format, values] of hops) {
        const hashes = new Set(values.map((value) => moduleSticky(FORMATS.indexOf(format), value)));
        expect(hashes.size, `seed ${seed}: ${shown(values)}`).toBe(1);
      }
    }
  });

  it('never draw a request without a trace id, but for all of them', () => {
    expect(shareOf(99.99, 'a')(0n)).toBe(false);
    expect(shareOf(100, 'a')(0n)).toBe(true);
    expect(ruleOf(100, 'a')(0n)).toBe(false);
  });
});

describe('fallback chains', () => {
  it('reach the load balancer as the protobuf value that they stand for', () => {
    const WORD = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-';
    for (let seed = 1; seed <= scaled(20_000, 1_000); seed++) {
      const random = new Random(seed);
      const lanes = Array.from({ length: random.between(1, 8) }, () => random.text(random.between(1, 63), WORD));
      const closed = random.chance(0.5);
      const instance = random.chance(0.2) ? random.text(random.between(1, 128), WORD) : '';
      const stages = random.between(1, 8);
      const shard = random.chance(0.3) ? String(random.below(1024)) : '';
      const slice = policy.withStrings([lanes.join(','), instance, shard], (l = 0, i = 0, s = 0) =>
        policy.exports.chainList(l, closed, i, stages, s),
      );
      const given = policy.take(slice);
      const chain = { lanes, closed, ...(instance === '' ? {} : { instance }) };
      const wanted = labelSets(chain, stages, shard === '' ? undefined : shard);
      const message = `seed ${seed}: ${shown({ lanes, closed, instance, stages, shard })}`;
      expect(decodeList(Buffer.from(given ?? '', 'base64').toString('latin1')), message).toEqual(wanted);
      expect(given, message).toBe(Buffer.from(encodeList(wanted), 'latin1').toString('base64'));
    }
  });
});

describe('the trace map', () => {
  const TTL = 30_000;
  const LEARNED = {
    stored: 1,
    refreshed: 2,
    pinned: 4,
    evictedLive: 8,
    'conflict kept': 16,
    'conflict replaced': 32,
    crowded: 64,
  };

  it('does in every bucket what the reference does, over any sequence of requests', () => {
    for (let seed = 1; seed <= scaled(400, 40); seed++) {
      const random = new Random(seed);
      const ttl = random.pick([1_000, TTL, 3_600_000]);
      const key = random.bytes(16);
      const bytes = Buffer.from(key, 'latin1');
      // 16 entries in two buckets: crowded, so that every kind of eviction happens.
      policy.exports.mapCreate(4, ttl, bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8));
      const reference = new ReferenceMap(key, 16, ttl);
      let now = 0xffff_0000 + random.below(0x2_0000);
      const said: string[] = [];
      for (let step = 0; step < 500; step++) {
        now += random.pick([0, 0, 1, 10, 500, 1_000, random.below(ttl), random.chance(0.02) ? 600_000 : 1]);
        const id = `id-${random.below(30)}`;
        const { bucket, fingerprint } = reference.of(id);
        const slice = policy.give(id);
        const operation = random.below(5);
        let [given, wanted]: [unknown, unknown] = [undefined, undefined];
        if (operation === 0) {
          const tag = random.pick(['dev1', 'dev2', 'x'.repeat(63)]);
          given = policy.exports.mapLearn(slice, policy.give(tag, 1), now);
          const { what, pinned, crowded, evictedLive } = bucket.learn(fingerprint, tag, now);
          wanted = LEARNED[what] + (pinned ? LEARNED.pinned : 0) + (evictedLive ? LEARNED.evictedLive : 0);
          wanted = (wanted as number) + (crowded ? LEARNED.crowded : 0);
        } else if (operation === 1) {
          const lease = random.pick([64, FIRST_LEASE, 16_000]);
          given = policy.exports.mapRenew(slice, now, lease) !== 0;
          wanted = bucket.renew(fingerprint, now, lease);
        } else if (operation === 2) {
          const [begin, lease] = [now - random.pick([0, 500]), random.pick([64, FIRST_LEASE, 16_000])];
          given = policy.exports.mapRelease(slice, now, begin, lease) !== 0;
          wanted = bucket.release(fingerprint, now, leaseEnd(begin, lease));
        } else {
          const tag = policy.take(policy.exports.mapFind(slice, now));
          given = { tag, changed: policy.exports.mapTouch(slice, now) !== 0 };
          wanted = bucket.lookUp(fingerprint, now);
        }
        said.push(`${['learn', 'renew', 'release', 'look up', 'look up'][operation]} ${id} at ${now}: ${shown(given)}`);
        if (shown(given) === shown(wanted)) continue;
        expect(given, `seed ${seed}, step ${step}\n${said.slice(-20).join('\n')}`).toEqual(wanted);
      }
    }
  });

  it('answers honest requests through a flood of tagged ids that nobody asks for', () => {
    // As many as it takes to overrun the map several times, at 20,000 a second.
    const flood = scaled(1_000_000, 400_000);
    policy.exports.mapCreate(16, TTL, 1n, 2n);
    const figures = simulateFlood(policy, { flood, perSecond: 20_000, honestPerSecond: 200 });
    expect(figures.lookUps).toBeGreaterThan(10_000);
    expect(figures.hits / figures.lookUps, shown(figures)).toBeGreaterThanOrEqual(0.999);
    expect(figures.wrong, 'tags of another request').toBe(0);
    expect(figures.evictedLive, 'a flood that overruns the map').toBeGreaterThan(flood / 4);
  });

  it('would lose honest requests in a map that does not fit: the measure can fail', () => {
    policy.exports.mapCreate(7, TTL, 1n, 2n);
    const figures = simulateFlood(policy, { flood: 40_000, perSecond: 20_000, honestPerSecond: 200 });
    expect(figures.hits / figures.lookUps, shown(figures)).toBeLessThan(0.999);
  });
});

interface Flood {
  /** Distinct tagged ids, spread evenly; a tenth of their requests stays open for 2 s and renews its lease, the others end at once. */
  readonly flood: number;
  readonly perSecond: number;
  /** Requests that last 500 ms and make three calls, the last one 1 s after their answer. */
  readonly honestPerSecond: number;
}

interface FloodFigures {
  lookUps: number;
  hits: number;
  wrong: number;
  evictedLive: number;
}

/** Runs the flood in its own time, millisecond by millisecond, which begins just before the 32-bit clock wraps. */
function simulateFlood(policy: PolicyModule, options: Flood): FloodFigures {
  const { exports } = policy;
  const figures: FloodFigures = { lookUps: 0, hits: 0, wrong: 0, evictedLive: 0 };
  const begin = 0xffff_ffff - 5_000;
  const due = new Map<number, (() => void)[]>();
  const at = (ms: number, action: () => void): void => {
    const list = due.get(ms);
    if (list === undefined) due.set(ms, [action]);
    else list.push(action);
  };
  let crowdedUntil = 0;
  const learn = (id: string, tag: string, now: number): boolean => {
    const learned = exports.mapLearn(policy.give(id), policy.give(tag, 1), begin + now);
    if ((learned & 8) !== 0) figures.evictedLive++;
    if ((learned & 64) !== 0) crowdedUntil = now + 5_000;
    return (learned & 4) !== 0;
  };
  const renew = (id: string, now: number): void => {
    exports.mapRenew(policy.give(id), begin + now, 2 * FIRST_LEASE);
  };
  const end = (id: string, now: number, leased: number, lease = FIRST_LEASE): void => {
    if (now < crowdedUntil) exports.mapRelease(policy.give(id), begin + now, begin + leased, lease);
  };
  const call = (id: string, tag: string, now: number): void => {
    const found = policy.take(exports.mapFind(policy.give(id), begin + now));
    exports.mapTouch(policy.give(id), begin + now);
    figures.lookUps++;
    if (found === tag) figures.hits++;
    else if (found !== undefined) figures.wrong++;
  };

  const duration = Math.ceil((options.flood / options.perSecond) * 1000);
  const random = new Random(20);
  for (let ms = 0, sent = 0, served = 0; ms < duration + 2_000; ms++) {
    for (const action of due.get(ms) ?? []) action();
    due.delete(ms);
    for (; sent < Math.min(options.flood, (ms * options.perSecond) / 1000); sent++) {
      const id = uuid(random);
      const pinned = learn(id, 'flood', ms);
      if (!pinned) continue;
      if (sent % 10 === 0) {
        at(ms + 1_750, () => renew(id, ms + 1_750));
        at(ms + 2_000, () => end(id, ms + 2_000, ms + 1_750, 2 * FIRST_LEASE));
      } else end(id, ms, ms);
    }
    for (; ms < duration && served < (ms * options.honestPerSecond) / 1000; served++) {
      const [id, tag] = [uuid(random), `lane-${served % 50}`];
      const pinned = learn(id, tag, ms);
      at(ms + 500, () => pinned && end(id, ms + 500, ms));
      for (const later of [random.between(1, 100), 300, 1_500]) at(ms + later, () => call(id, tag, ms + later));
    }
  }
  return figures;
}
