/**
 * Which chain a request gets. Pure: what it needs to know of a request beyond tag and service it asks through
 * `RequestView`, and only when a rule makes it matter. The outcome is left in the policy's fields, so that deciding
 * allocates nothing.
 */
import { isLabelValue } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { hash64, mix64, NONE, present, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { BY_ROUTE, Chain, encodeChain } from './chain';
import { NameTable, UNKNOWN } from './name-table';

/** Number of the baseline among lanes. */
export const BASELINE: i32 = 0;
export const NO_RULE: i32 = -1;

/** Makes the choice among a rule's targets independent of its percentage. */
const TARGET_SALT: u64 = 0x9e3779b97f4a7c15;

/** What a rule may ask of a request. */
export abstract class RequestView {
  /** Whether rule number `rule`'s matcher holds; true for a rule without one. */
  abstract matches(rule: i32): bool;
  /** The same number on every hop of a trace; 0 without a trace id. */
  abstract sticky(): u64;
}

/** Share of traces, sticky: the same trace draws the same on every hop. */
@final
export class Share {
  /** Of 2^32. */
  private readonly threshold: u64;
  private readonly salt: u64;

  /** `percent` 0–100; rules of the same `name` draw the same traces. */
  constructor(percent: f64, name: Slice) {
    this.threshold = (percent * 42949672.96) as u64;
    this.salt = hash64(name);
  }

  all(): bool {
    return this.threshold >= 0x1_0000_0000;
  }

  /** A request without a trace id belongs to no share but the whole. */
  draws(sticky: u64): bool {
    return this.all() || (sticky !== 0 && mix64(sticky ^ this.salt) >> 32 < this.threshold);
  }

  /** A number below `bound`, evenly spread over traces; 0 without a trace id. */
  pick(sticky: u64, bound: u32): u32 {
    if (sticky === 0) return 0;
    const draw = mix64(sticky ^ this.salt ^ TARGET_SALT) >> 32;
    return ((draw * (bound as u64)) >> 32) as u32;
  }
}

@final
export class Target {
  constructor(
    readonly chain: Chain,
    /** Sum of the weights up to and with this one. */
    readonly upTo: u32,
  ) {}
}

@final
export class SteeringRule {
  constructor(
    readonly share: Share,
    /** By service number; null = every service. */
    readonly services: StaticArray<bool> | null,
    /** By lane number; null = every lane, also unknown ones. */
    readonly lanes: StaticArray<bool> | null,
    readonly targets: StaticArray<Target>,
  ) {}

  covers(service: i32, lane: i32): bool {
    const services = this.services;
    if (services !== null && (service === UNKNOWN || !unchecked(services[service]))) return false;
    const lanes = this.lanes;
    return lanes === null || (lane !== UNKNOWN && unchecked(lanes[lane]));
  }

  choose(sticky: u64): Chain {
    const targets = this.targets;
    const last = targets.length - 1;
    if (last === 0) return unchecked(targets[0]).chain;
    const pick = this.share.pick(sticky, unchecked(targets[last]).upTo);
    let i = 0;
    while (i < last && unchecked(targets[i]).upTo <= pick) i++;
    return unchecked(targets[i]).chain;
  }
}

@final
export class ServicePolicy {
  constructor(
    /** The caller's shard of this service, in decimal; `NONE` when it is not sharded. */
    readonly shard: Slice,
    /** Chains by lane number that differ from the lane's own; null when there are none. */
    readonly overrides: Map<i32, Chain> | null,
  ) {}
}

@final
export class LanePolicy {
  /** Lane for the load balancer, before the route's default; `NONE`: see `list`. Valid until the next decision. */
  lane: Slice = NONE;
  /** List for the load balancer; `NONE` without a `lane`: the route's default will do. Valid until the next decision. */
  list: Slice = NONE;
  /** The whole chain, for filters behind. */
  chain: Chain;
  /** Only the chain may serve. */
  strict: bool = false;
  /** Number of the lane that the tag asks for, or `UNKNOWN`. */
  wanted: i32 = BASELINE;
  /** Number of the rule that steered, or `NO_RULE`. */
  rule: i32 = NO_RULE;
  /** The tag is none (not a label value): the request was treated as untagged. */
  badTag: bool = false;

  private readonly scratchLanes: StaticArray<u64>;
  private readonly scratch: Chain;

  constructor(
    private readonly names: NameTable,
    /** By lane number; the first is the baseline. */
    private readonly lanes: StaticArray<Chain>,
    private readonly services: StaticArray<ServicePolicy>,
    private readonly rules: StaticArray<SteeringRule>,
    private readonly stages: i32,
    baseline: Slice,
  ) {
    const lanesOfUnknown: StaticArray<u64> = [NONE, baseline];
    this.scratchLanes = lanesOfUnknown;
    const scratch = new Chain(lanesOfUnknown, false);
    this.scratch = scratch;
    this.chain = scratch;
  }

  laneOf(name: Slice): i32 {
    return this.names.find(name);
  }

  /** Decides for a request with this tag (`NONE` without one) to service number `service` (or `UNKNOWN`). */
  decide(tag: Slice, service: i32, request: RequestView): void {
    this.rule = NO_RULE;
    this.badTag = false;
    this.wanted = present(tag) ? this.names.find(tag) : BASELINE;
    if (this.wanted === UNKNOWN && !isLabelValue(tag)) {
      this.badTag = true;
      this.wanted = BASELINE;
    }
    const chain = this.chainFor(tag, service, request);
    // By route the chain's name says all.
    this.strict = chain.closed && this.stages !== BY_ROUTE;
    this.chain = chain;
    const shard = service === UNKNOWN ? NONE : unchecked(this.services[service]).shard;
    const sharded = present(shard);
    this.lane = sharded ? NONE : chain.lane;
    this.list = sharded ? encodeChain(chain, this.stages, shard) : chain.list;
  }

  private chainFor(tag: Slice, service: i32, request: RequestView): Chain {
    const rules = this.rules;
    for (let i = 0, n = rules.length; i < n; i++) {
      const rule = unchecked(rules[i]);
      if (!rule.covers(service, this.wanted)) continue;
      const sticky = rule.share.all() && rule.targets.length === 1 ? 0 : request.sticky();
      if (!rule.share.draws(sticky) || !request.matches(i)) continue;
      this.rule = i;
      return rule.choose(sticky);
    }
    if (this.wanted === UNKNOWN) {
      unchecked((this.scratchLanes[0] = tag));
      this.scratch.lane = tag;
      return this.scratch;
    }
    if (service !== UNKNOWN) {
      const overrides = unchecked(this.services[service]).overrides;
      if (overrides !== null && overrides.has(this.wanted)) return overrides.get(this.wanted);
    }
    return unchecked(this.lanes[this.wanted]);
  }
}
