/** From a section that the schema has accepted, defaults filled in, to the policy's tables. Nothing is left to refuse. */
import {
  byteAt,
  getProperty,
  lenOf,
  lower,
  NONE,
  parseDecimal,
  persist,
  present,
  propertyPath,
  ptrOf,
  Slice,
  text,
} from 'proxy-wasm-assemblyscript-sdk';
import { equalsText, Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { BY_ROUTE, Chain } from './chain';
import { decimal, LaneSet } from './config-lanes';
import { NameTable, UNKNOWN } from './name-table';
import { BASELINE, LanePolicy, ServicePolicy, Share, SteeringRule, Target } from './policy';

/** Of which requests wanted and served lane are counted. */
export enum Edges {
  None,
  Tagged,
  All,
}

@final
export class RedirectRule {
  constructor(
    readonly share: Share,
    /** Token of the other unit's route. */
    readonly unit: Slice,
  ) {}
}

@final
export class FallbackConfig {
  inbound: bool = false;
  tagHeader: Slice = NONE;
  edges: Edges = Edges.Tagged;
  /** Path of the property that names the answering host's lane; `NONE` where the endpoint's label does. */
  served: Slice = NONE;
  policy: LanePolicy;
  /** From an authority to the number of its service. */
  authorities: NameTable;
  /** Metric labels by lane and by service number. */
  laneLabels: string[];
  serviceLabels: string[];
  /** Labels by rule number. */
  ruleNames: string[];
  redirects: RedirectRule[];
  redirectNames: string[];
  /** A request without a tag takes the route's default whatever it is: nothing needs to be read of it. */
  untaggedPasses: bool = false;

  constructor(
    /** Owns the bytes of every name. */
    readonly section: Json,
    policy: LanePolicy,
    authorities: NameTable,
  ) {
    this.policy = policy;
    this.authorities = authorities;
    this.laneLabels = [];
    this.serviceLabels = [];
    this.ruleNames = [];
    this.redirects = [];
    this.redirectNames = [];
  }
}

export function compileConfig(section: Json): FallbackConfig {
  const byRoute = equalsText(section.textOf('handOver'), 'route');
  const stages = byRoute ? BY_ROUTE : (section.numberOf('stages', 1) as i32);
  const services = section.itemsOf('services');
  const rules = section.itemsOf('steering');
  const lanes = new LaneSet(section, stages);
  const serviceNames = new NameTable(services.length, false);
  for (let i = 0; i < services.length; i++) serviceNames.add(services[i].textOf('name'), i);

  const compiledRules = new StaticArray<SteeringRule>(rules.length);
  for (let i = 0; i < rules.length; i++) compiledRules[i] = compileRule(rules[i], lanes, serviceNames, services.length);
  const compiledServices = compileServices(services, lanes, byRoute ? -1 : callerNumber(section));
  const policy = new LanePolicy(
    lanes.table,
    lanes.chains(),
    compiledServices,
    compiledRules,
    stages,
    section.textOf('baseline'),
  );

  const config = new FallbackConfig(section, policy, compileAuthorities(services));
  const direction = section.textOf('direction');
  config.inbound = equalsText(direction, 'inbound');
  config.tagHeader = lowerCase(section.textOf('tagHeader'));
  config.edges = edgesOf(section);
  const served = section.textOf('servedProperty');
  if (present(served)) config.served = propertyPath(text(served));
  config.laneLabels = lanes.labels();
  for (let i = 0; i < services.length; i++) config.serviceLabels.push(label(services[i].textOf('name')));
  for (let i = 0; i < rules.length; i++) {
    config.ruleNames.push(label(rules[i].textOf('name')));
  }
  compileRedirects(section, config);
  config.untaggedPasses = rules.length === 0 && config.edges !== Edges.All && !touchesBaseline(compiledServices);
  return config;
}

function compileServices(services: Json[], lanes: LaneSet, caller: i64): StaticArray<ServicePolicy> {
  const result = new StaticArray<ServicePolicy>(services.length);
  for (let i = 0; i < services.length; i++) {
    const shards = services[i].numberOf('shards', 0) as i64;
    const shard = shards > 0 && caller >= 0 ? decimal((caller % shards) as i32) : NONE;
    const own = services[i].itemsOf('lanes');
    let overrides: Map<i32, Chain> | null = null;
    if (own.length > 0) {
      const map = new Map<i32, Chain>();
      for (let j = 0; j < own.length; j++) {
        const lane = lanes.numberOf(own[j].textOf('name'));
        if (!map.has(lane)) map.set(lane, lanes.chainOf(own[j]));
      }
      overrides = map;
    }
    result[i] = new ServicePolicy(shard, overrides);
  }
  return result;
}

function touchesBaseline(services: StaticArray<ServicePolicy>): bool {
  for (let i = 0; i < services.length; i++) {
    if (present(services[i].shard)) return true;
    const overrides = services[i].overrides;
    if (overrides !== null && overrides.has(BASELINE)) return true;
  }
  return false;
}

function compileAuthorities(services: Json[]): NameTable {
  let count = 0;
  for (let i = 0; i < services.length; i++) count += services[i].itemsOf('authorities').length;
  const table = new NameTable(count, true);
  for (let i = 0; i < services.length; i++) {
    const authorities = services[i].itemsOf('authorities');
    for (let j = 0; j < authorities.length; j++) table.add(authorities[j].text, i);
  }
  return table;
}

function compileRule(rule: Json, lanes: LaneSet, serviceNames: NameTable, serviceCount: i32): SteeringRule {
  const targets = rule.itemsOf('to');
  const compiled = new StaticArray<Target>(targets.length);
  let sum: u32 = 0;
  for (let i = 0; i < targets.length; i++) {
    sum += targets[i].numberOf('weight', 1) as u32;
    compiled[i] = new Target(lanes.targetChain(targets[i]), sum);
  }
  return new SteeringRule(
    new Share(rule.numberOf('percent', 100), rule.textOf('name')),
    serviceSet(rule, serviceNames, serviceCount),
    laneSet(rule, lanes),
    compiled,
  );
}

/** A service that the configuration does not know is one that no request goes to. */
function serviceSet(rule: Json, names: NameTable, count: i32): StaticArray<bool> | null {
  if (!rule.has('services')) return null;
  const items = rule.itemsOf('services');
  const set = new StaticArray<bool>(count);
  for (let i = 0; i < items.length; i++) {
    const number = names.find(items[i].text);
    if (number !== UNKNOWN) set[number] = true;
  }
  return set;
}

function laneSet(rule: Json, lanes: LaneSet): StaticArray<bool> | null {
  if (!rule.has('lanes')) return null;
  const items = rule.itemsOf('lanes');
  const set = new StaticArray<bool>(lanes.count());
  for (let i = 0; i < items.length; i++) set[lanes.numberOf(items[i].text)] = true;
  return set;
}

function compileRedirects(section: Json, config: FallbackConfig): void {
  const rules = section.itemsOf('redirects');
  for (let i = 0; i < rules.length; i++) {
    const name = rules[i].textOf('name');
    config.redirects.push(new RedirectRule(new Share(rules[i].numberOf('percent', 100), name), rules[i].textOf('to')));
    config.redirectNames.push(label(name));
  }
}

function edgesOf(section: Json): Edges {
  const edges = section.textOf('edges');
  if (equalsText(edges, 'none')) return Edges.None;
  return equalsText(edges, 'all') ? Edges.All : Edges.Tagged;
}

/** The caller's number: configured, or a property that holds it as a double or in decimal digits; -1 without one. */
function callerNumber(section: Json): i64 {
  if (section.has('shard')) return section.numberOf('shard', 0) as i64;
  const path = section.textOf('shardProperty');
  if (!present(path)) return -1;
  const value = getProperty(propertyPath(text(path)));
  const digits = parseDecimal(value);
  if (digits >= 0 || lenOf(value) !== 8) return digits;
  const number = load<f64>(ptrOf(value));
  return number >= 0 && number < 1e15 ? (number as i64) : -1;
}

/** A name as a metric's label: a dot would end the label. */
export function label(name: Slice): string {
  return text(name).replaceAll('.', '_');
}

/** A permanent copy in lower case, as the host wants header names. */
function lowerCase(name: Slice): Slice {
  const result = persist(name);
  for (let i = 0; i < lenOf(result); i++) store<u8>(ptrOf(result) + i, lower(byteAt(result, i)));
  return result;
}
