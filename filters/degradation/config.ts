/** From a section that the schema has accepted, defaults filled in, to compiled form. */
import { ascii, Counter, Slice, text } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { compileInterfaces } from '../interface/config';
import { InterfaceTable } from '../interface/policy';
import { NameTable } from '../lane-fallback/name-table';
import { Share } from '../lane-fallback/policy';
import { refuse } from '../plugin';
import { BreakerLaw } from './breaker';
import { Group } from './group';
import { BreakerMetrics, ignoredCounter, ruleCounter } from './metrics';
import { ALL_OF, CutTrigger, DropRule, NOT_OF } from './policy';

/** As in schema.ts: breakers are made when the configuration is taken, so that requests allocate nothing. */
const MAX_BREAKERS: i32 = 512;

@final
export class Drop {
  constructor(
    readonly rule: DropRule,
    readonly dropped: Counter,
  ) {}
}

@final
export class Cut {
  constructor(
    readonly trigger: CutTrigger,
    /** `ALL_OF` or one interface. */
    readonly scope: i32,
    readonly status: u32,
    readonly contentType: Slice,
    readonly body: Slice,
    readonly grpcStatus: i32,
    readonly cut: Counter,
  ) {}
}

@final
export class DegradedService {
  law: BreakerLaw | null = null;
  cancelMs: f64 = 1_000;
  grpc: bool = false;
  clusters: StaticArray<u64> = new StaticArray<u64>(0);
  /** By interface; empty without a breaker. */
  groups: StaticArray<Group> = new StaticArray<Group>(0);
  metrics: StaticArray<BreakerMetrics> = new StaticArray<BreakerMetrics>(0);
  readonly drops: Drop[] = [];
  readonly cuts: Cut[] = [];
  /** Some drop looks at the priority class. */
  asksClass: bool = false;
  /** Some cut looks at what the callee sheds. */
  asksShed: bool = false;

  constructor(
    readonly name: string,
    readonly table: InterfaceTable,
  ) {}
}

@final
export class DegradationConfig {
  status: u32 = 503;
  services: DegradedService[] = [];
  authorities: NameTable = new NameTable(0, true);
  /** Some cut looks at the machine's CPU pressure. */
  asksPressure: bool = false;

  readonly ignoredClass: Counter = ignoredCounter('bad_class');
  readonly ignoredThreshold: Counter = ignoredCounter('bad_threshold');

  /** Owns the bytes of names. */
  constructor(readonly section: Json) {}
}

/** Null after saying what a schema cannot say: too many breakers, names that do not exist. */
export function compileConfig(section: Json): DegradationConfig | null {
  const config = new DegradationConfig(section);
  config.status = section.numberOf('status', 503) as u32;
  const services = section.itemsOf('services');
  let names = 0;
  let breakers = 0;
  for (let i = 0; i < services.length; i++) {
    names += services[i].itemsOf('authorities').length;
    const interfaces = services[i].itemsOf('interfaces').length + 1;
    if (services[i].has('breaker')) breakers += interfaces;
  }
  if (breakers > MAX_BREAKERS) {
    refuse(`degradation.services: found ${breakers} interfaces with a breaker, expected at most ${MAX_BREAKERS}`);
    return null;
  }
  config.authorities = new NameTable(names, true);
  for (let i = 0; i < services.length; i++) compileService(config, services[i], i);
  compileDrops(config);
  compileCuts(config);
  return config;
}

function compileService(config: DegradationConfig, item: Json, number: i32): void {
  const service = new DegradedService(text(item.textOf('name')), compileInterfaces(item.itemsOf('interfaces')));
  const authorities = item.itemsOf('authorities');
  for (let i = 0; i < authorities.length; i++) config.authorities.add(authorities[i].text, number);
  const grpc = item.get('grpc');
  service.grpc = grpc !== null && grpc.bool;
  const clusters = item.itemsOf('clusters');
  service.clusters = new StaticArray<u64>(clusters.length);
  for (let i = 0; i < clusters.length; i++) service.clusters[i] = clusters[i].text;
  const breaker = item.get('breaker');
  if (breaker !== null) {
    const coolDown = breaker.numberOf('coolDownMs', 5_000);
    service.law = new BreakerLaw(
      coolDown,
      max(coolDown, breaker.numberOf('maxCoolDownMs', 300_000)),
      breaker.numberOf('stepMs', 5_000),
    );
    service.cancelMs = breaker.numberOf('cancelMs', 1_000);
    const size = service.table.size;
    service.groups = new StaticArray<Group>(size);
    service.metrics = new StaticArray<BreakerMetrics>(size);
    for (let i = 0; i < size; i++) {
      service.groups[i] = new Group();
      service.metrics[i] = new BreakerMetrics(service.name, service.table.nameOf(i));
    }
  }
  config.services.push(service);
}

/** What a rule says of one service: an interface that the service does not have is one that no request goes to. */
function interfaceOf(service: DegradedService, rule: Json): i32 {
  if (!rule.has('interface')) return ALL_OF;
  const found = service.table.indexOf(text(rule.textOf('interface')));
  return found < 0 ? NOT_OF : found;
}

function names(rule: Json, service: string): bool {
  if (!rule.has('services')) return true;
  const items = rule.itemsOf('services');
  for (let i = 0; i < items.length; i++) {
    if (text(items[i].text) === service) return true;
  }
  return false;
}

function compileDrops(config: DegradationConfig): void {
  const rules = config.section.itemsOf('drops');
  const services = config.services;
  for (let i = 0; i < rules.length; i++) {
    const scope = new StaticArray<i32>(services.length);
    for (let s = 0; s < services.length; s++) {
      scope[s] = names(rules[i], services[s].name) ? interfaceOf(services[s], rules[i]) : NOT_OF;
    }
    const name = rules[i].textOf('name');
    const percent = rules[i].numberOf('percent', 0);
    const rule = new DropRule(percent, new Share(percent, name), rules[i].numberOf('class', 1) as i32, scope);
    const drop = new Drop(rule, ruleCounter('dropped', text(name)));
    for (let s = 0; s < services.length; s++) {
      if (scope[s] === NOT_OF) continue;
      services[s].drops.push(drop);
      // Class 0 is never dropped, so that any rule asks.
      services[s].asksClass = true;
    }
  }
}

function compileCuts(config: DegradationConfig): void {
  const rules = config.section.itemsOf('cuts');
  for (let i = 0; i < rules.length; i++) {
    const cut = compileCut(rules[i], config.services);
    if (cut === null) continue;
    for (let s = 0; s < config.services.length; s++) {
      const service = config.services[s];
      if (service.name !== text(rules[i].textOf('service'))) continue;
      service.cuts.push(cut);
      if (cut.trigger.shedClass > 0) service.asksShed = true;
    }
    if (cut.trigger.pressure > 0) config.asksPressure = true;
  }
}

const NOTHING = ascii('');
const JSON_TYPE = ascii('application/json');

/** Null when the service is not configured, or does not have the interface. */
function compileCut(rule: Json, services: DegradedService[]): Cut | null {
  let scope = NOT_OF;
  for (let s = 0; s < services.length; s++) {
    if (services[s].name === text(rule.textOf('service'))) scope = interfaceOf(services[s], rule);
  }
  if (scope === NOT_OF) return null;
  const on = rule.get('on');
  const when = rule.get('when');
  const trigger = new CutTrigger(
    on !== null && on.bool,
    when === null ? 0 : (when.numberOf('cpuPercent', 0) as i32) * 10,
    when === null ? 0 : (when.numberOf('shedClass', 0) as i32),
  );
  const answer = rule.get('answer');
  const made = ruleCounter('cut', text(rule.textOf('name')));
  if (answer === null) return new Cut(trigger, scope, 200, JSON_TYPE, NOTHING, 14, made);
  return new Cut(
    trigger,
    scope,
    answer.numberOf('status', 200) as u32,
    answer.textOf('contentType'),
    answer.textOf('body'),
    answer.numberOf('grpcStatus', 14) as i32,
    made,
  );
}
