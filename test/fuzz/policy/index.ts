/**
 * The pure parts of the lane filters as a module of their own, for simulations and comparisons: no host, no clock.
 * Bytes go in and out through `room`; a trace map stands in plain memory instead of shared data.
 */
// Compiled in for its name: the build puts it in place of AssemblyScript's own.
import 'proxy-wasm-assemblyscript-sdk/abi/abort';
import { isLabelValue } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, NONE, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Chain, encodeChain } from '../../../filters/lane-fallback/chain';
import { Share } from '../../../filters/lane-fallback/policy';
import { CelHost, MatchCompiler } from '../../../filters/lane-tagging/matcher.config';
import { MatchPlan, MatchSource } from '../../../filters/lane-tagging/matcher.policy';
import {
  BUCKET_SIZE,
  clearBucket,
  find,
  learn,
  leaseEnd,
  release,
  renew,
  tagAt,
  touch,
  WAYS,
} from '../../../filters/trace-propagation/policy';
import { sipHash128, sipHigh, sipLow } from '../../../filters/trace-propagation/siphash';
import { stickyHash, traceIdOf } from '../../../filters/trace-propagation/trace-id';

export { isLabelValue, sipHash128, sipHigh, sipLow, stickyHash, traceIdOf };

/** Memory for the caller's bytes. */
export function room(size: usize): usize {
  return heap.alloc(size);
}

/** The list of a chain, base64. `lanes` separated by commas; an empty `instance` or `shard` is none. */
export function chainList(lanes: string, closed: bool, instance: string, stages: i32, shard: string): Slice {
  const names = lanes.split(',');
  const slices = new StaticArray<u64>(names.length);
  for (let i = 0; i < names.length; i++) slices[i] = ascii(names[i]);
  const chain = new Chain(slices, closed, instance.length > 0 ? ascii(instance) : NONE);
  return encodeChain(chain, stages, shard.length > 0 ? ascii(shard) : NONE);
}

/** A share of traces, as steering and redirects draw it. */
export function share(percent: f64, name: string): Share {
  return new Share(percent, ascii(name));
}

export function shareDraws(drawn: Share, sticky: u64): bool {
  return drawn.draws(sticky);
}

export function sharePick(drawn: Share, sticky: u64, bound: u32): u32 {
  return drawn.pick(sticky, bound);
}

/** A request of which nothing is known but its trace. */
class TraceOnly extends MatchSource {
  trace: u64 = 0;

  header(name: Slice): Slice {
    return NONE;
  }
  path(): Slice {
    return NONE;
  }
  method(): Slice {
    return NONE;
  }
  address(): Slice {
    return NONE;
  }
  identity(): Slice {
    return NONE;
  }
  sticky(): u64 {
    return this.trace;
  }
  cel(token: u32): bool {
    return false;
  }
}

class NoCel extends CelHost {
  create(expression: Slice): i64 {
    return -1;
  }
  drop(token: u32): void {}
}

const traceOnly = new TraceOnly();

/** A tagging rule of this name with this matcher, JSON text. */
export function rule(matcher: string, name: string): MatchPlan {
  const compiler = new MatchCompiler(new NoCel());
  compiler.add(parseJson(ascii(matcher)), ascii(name), 'match');
  return compiler.build()!;
}

export function ruleDraws(plan: MatchPlan, sticky: u64): bool {
  traceOnly.trace = sticky;
  plan.begin();
  return plan.first(traceOnly) === 0;
}

let buckets: usize = 0;
let mask: u64 = 0;
let timeToLive: u32 = 0;
let key0: u64 = 0;
let key1: u64 = 0;
let fingerprint: u64 = 0;

/** An empty trace map of 2^`sizeLog2` entries, for all functions below: places and fingerprints as in shared data. */
export function mapCreate(sizeLog2: i32, ttl: u32, k0: u64, k1: u64): void {
  const count = (1 << sizeLog2) / WAYS;
  if (buckets !== 0) heap.free(buckets);
  buckets = heap.alloc((count * BUCKET_SIZE) as usize);
  for (let i = 0; i < count; i++) clearBucket(buckets + ((i * BUCKET_SIZE) as usize));
  mask = (count - 1) as u64;
  timeToLive = ttl;
  key0 = k0;
  key1 = k1;
}

function bucketOf(id: Slice): usize {
  sipHash128(id, key0, key1);
  fingerprint = sipHigh() === 0 ? 1 : sipHigh();
  return buckets + ((sipLow() & mask) as usize) * (BUCKET_SIZE as usize);
}

/** Bits of `Learned`. */
export function mapLearn(id: Slice, tag: Slice, now: u32): u32 {
  const bucket = bucketOf(id);
  return learn(bucket, fingerprint, tag, now, timeToLive);
}

/** The tag, or `NONE`. */
export function mapFind(id: Slice, now: u32): Slice {
  const bucket = bucketOf(id);
  const way = find(bucket, fingerprint, now);
  return way === 0 ? NONE : tagAt(way);
}

/** Notes a look-up; whether that changed the bucket. */
export function mapTouch(id: Slice, now: u32): bool {
  const bucket = bucketOf(id);
  const way = find(bucket, fingerprint, now);
  return way !== 0 && touch(way, now, timeToLive);
}

/** Gives back a lease of `lease` ms that began at `begin`. */
export function mapRelease(id: Slice, now: u32, begin: u32, lease: u32): bool {
  const bucket = bucketOf(id);
  return release(bucket, fingerprint, now, leaseEnd(begin, lease));
}

export function mapRenew(id: Slice, now: u32, lease: u32): bool {
  const bucket = bucketOf(id);
  return renew(bucket, fingerprint, now, timeToLive, lease);
}
