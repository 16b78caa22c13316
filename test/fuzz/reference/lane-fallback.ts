import type { LaneConfig, LaneFallbackConfig, TargetConfig } from '../../../filters/lane-fallback/schema.ts';
import type { LocalReply } from './lane-tagging.ts';
import { matches } from './matcher.ts';
import { encodeList, type LabelSet } from './protobuf.ts';
import { type Connection, type Counts, isTag, label, type RequestHeaders } from './request.ts';
import { fraction, type Source, stickyNumber } from './trace.ts';

const PREFIX = 'causeway_lane_fallback_';
/** Makes the choice among a rule's targets independent of its percentage. */
const TARGET_TWIST = 0x9e3779b97f4a7c15n;

export interface Chain {
  readonly lanes: readonly string[];
  /** Nothing else may serve. */
  readonly closed: boolean;
  readonly instance?: string;
}

/** Where the answer came from: labels of the host that gave it, undefined when none did. */
export interface Served {
  /** Label `lane`: the host is one of a first try's. */
  readonly firstLane?: string | undefined;
  readonly anyLane?: string | undefined;
}

/** One request on its way through lane-fallback. */
export class FallbackRequest {
  readonly #config: LaneFallbackConfig;
  readonly #counts: Counts;
  #edge: { service: string; wanted: string } | undefined;

  constructor(config: LaneFallbackConfig, counts: Counts) {
    this.#config = config;
    this.#counts = counts;
  }

  request(headers: RequestHeaders, sources: readonly Source[], connection: Connection): LocalReply | undefined {
    const sticky = stickyNumber(headers, sources);
    if (this.#config.direction === 'inbound') return this.#redirect(headers, sticky, connection);
    this.#choose(headers, sticky, connection);
    return undefined;
  }

  /** The request has ended. */
  end(served: Served): void {
    const edge = this.#edge;
    this.#edge = undefined;
    if (edge === undefined) return;
    const lane = served.firstLane ?? served.anyLane;
    if (lane !== undefined && served.firstLane === undefined) {
      this.#counts.add(`${PREFIX}later_try_total.service.${edge.service}`);
    }
    const name = lane === undefined ? 'none' : this.#label(lane);
    this.#counts.add(`${PREFIX}requests_total.service.${edge.service}.wanted.${edge.wanted}.served.${name}`);
  }

  get #baseline(): string {
    return this.#config.baseline ?? 'base';
  }

  #choose(headers: RequestHeaders, sticky: bigint, connection: Connection): void {
    const header = (this.#config.tagHeader ?? 'x-asm-traffic-lane').toLowerCase();
    const given = headers.joined(header) || undefined;
    const tag = given !== undefined && isTag(given) ? given : undefined;
    if (given !== tag) this.#counts.add(`${PREFIX}invalid_tag_total`);
    const wanted = tag ?? this.#baseline;

    const authority = headers.first(':authority')?.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    const service = this.#config.services?.find(({ authorities }) =>
      authorities.some((one) => one.toLowerCase() === authority),
    );
    const steering = this.#config.steering?.find(
      (rule) =>
        (rule.services === undefined || (service !== undefined && rule.services.includes(service.name))) &&
        (rule.lanes === undefined || rule.lanes.includes(wanted)) &&
        draws(rule.percent ?? 100, rule.name, sticky) &&
        (rule.match === undefined || matches(rule.match, { headers, connection, sticky }, rule.name)),
    );
    if (steering !== undefined) this.#counts.add(`${PREFIX}steered_total.rule.${label(steering.name)}`);

    let chain: Chain | undefined;
    if (steering !== undefined) chain = this.#steered(chosen(steering.to, steering.name, sticky));
    else {
      const own = service?.lanes?.find(({ name }) => name === wanted);
      // The baseline is complete: only a service can have something else in its place.
      const common = wanted === this.#baseline ? undefined : this.#config.lanes?.find(({ name }) => name === wanted);
      const lane = own ?? common;
      if (lane !== undefined) chain = this.#chainOf(lane);
      else if (wanted !== this.#baseline) chain = { lanes: [wanted, this.#baseline], closed: false };
    }
    const shard = this.#shard(service?.shards ?? 0);
    if (chain === undefined && shard !== undefined) chain = { lanes: [this.#baseline], closed: false };
    if (chain !== undefined) {
      const stages = this.#config.stages ?? 1;
      const plain = chain.closed ? chain.lanes.length === 1 && stages === 1 : chain.lanes.length === 2;
      if (plain && shard === undefined && chain.instance === undefined) {
        headers.set('x-causeway-lane', chain.lanes[0] ?? '');
      } else {
        const list = labelSets(chain, stages, shard);
        headers.set('x-causeway-fallback-list', Buffer.from(encodeList(list), 'latin1').toString('base64'));
      }
      if (chain.closed) headers.set('x-causeway-strict', '1');
    }
    const edges = this.#config.edges ?? 'tagged';
    if (edges === 'all' || (edges === 'tagged' && given !== undefined)) {
      this.#edge = { service: label(service?.name ?? 'other'), wanted: this.#label(wanted) };
    }
  }

  /** A lane as metrics name it: only names that the configuration has. */
  #label(lane: string): string {
    const { lanes = [], services = [], steering = [] } = this.#config;
    const known = [
      this.#baseline,
      ...lanes.flatMap(({ name, chain = [] }) => [name, ...chain]),
      ...services.flatMap(({ lanes: own = [] }) => own.map(({ name }) => name)),
      ...steering.flatMap(({ lanes: asked = [], to }) => [
        ...asked,
        ...to.flatMap((target) => ('lanes' in target ? target.lanes : [])),
      ]),
    ];
    return known.includes(lane) ? label(lane) : 'other';
  }

  #chainOf(lane: LaneConfig): Chain {
    const strict = lane.mode === 'strict';
    const lanes = [lane.name, ...(lane.chain ?? (strict ? [] : [this.#baseline]))];
    return { lanes, closed: strict || lanes.at(-1) !== this.#baseline };
  }

  #steered(target: TargetConfig): Chain {
    if ('instance' in target) return { lanes: [this.#baseline], closed: false, instance: target.instance };
    return { lanes: target.lanes, closed: target.lanes.at(-1) !== this.#baseline };
  }

  #shard(shards: number): string | undefined {
    const { shard } = this.#config;
    return shards === 0 || shard === undefined ? undefined : String(shard % shards);
  }

  #redirect(headers: RequestHeaders, sticky: bigint, connection: Connection): LocalReply | undefined {
    const rule = this.#config.redirects?.find(
      ({ name, percent = 100, match }) =>
        draws(percent, name, sticky) && (match === undefined || matches(match, { headers, connection, sticky }, name)),
    );
    if (rule === undefined) return undefined;
    if (headers.first('x-causeway-redirected') !== undefined) {
      this.#counts.add(`${PREFIX}redirect_loop_total`);
      return { status: 508, details: 'causeway_redirect_loop' };
    }
    this.#counts.add(`${PREFIX}redirected_total.rule.${label(rule.name)}`);
    headers.set('x-causeway-redirected', '1');
    headers.set('x-causeway-redirect', rule.to);
    return undefined;
  }
}

/** A request without a trace id belongs to no share but the whole. */
/** Whether a trace belongs to a share. */
export function draws(percent: number, name: string, sticky: bigint): boolean {
  return percent === 100 || (sticky !== 0n && fraction(sticky, name) < percent / 100);
}

function chosen(targets: readonly TargetConfig[], name: string, sticky: bigint): TargetConfig {
  const sum = targets.reduce((total, { weight = 1 }) => total + weight, 0);
  let rest = sticky === 0n ? 0 : Math.floor(fraction(sticky, name, TARGET_TWIST) * sum);
  for (const target of targets) {
    rest -= target.weight ?? 1;
    if (rest < 0) return target;
  }
  throw new RangeError('a rule without targets');
}

/** Stage n tries the chain from its n-th lane on; past the end it has the last one. */
export function labelSets(chain: Chain, stages: number, shard: string | undefined): LabelSet[] {
  const list: LabelSet[] = chain.instance === undefined ? [] : [[['instance', chain.instance]]];
  for (let stage = 0; stage < stages; stage++) {
    const key = stage === 0 ? 'lane' : `lane${stage + 1}`;
    const left = chain.lanes.slice(stage);
    for (const lane of left.length > 0 ? left : chain.lanes.slice(-1)) {
      if (shard !== undefined) {
        list.push([
          [key, lane],
          ['shard', shard],
        ]);
      }
      list.push([[key, lane]]);
    }
  }
  return list;
}
