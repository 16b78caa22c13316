/** From a section that the schema has accepted, defaults filled in, to compiled form. */
import { ascii, hash64, mix64, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { compileInterfaces } from '../interface/config';
import { InterfaceTable } from '../interface/policy';
import { MatchCompiler } from '../lane-tagging/matcher.config';
import { EnvoyCel } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { Source } from '../overload-shedding/report';
import { refuse } from '../plugin';
import { lowerCase } from '../trace-propagation/config';

const NO_LIMIT: f64 = -1;
const NO_RULE: i32 = -1;

export enum ValueKind {
  Header,
  Cookie,
  Query,
}

@final
export class Hotspot {
  constructor(
    readonly name: string,
    readonly kind: ValueKind,
    readonly key: Slice,
    readonly perSecond: f64,
    /** In the plan; -1 = every request. */
    readonly rule: i32,
  ) {}
}

@final
export class LimitConfig {
  app: string = '';
  /** Number that configurations with the same limits have in common: workers of different ones do not mix. */
  fingerprint: u64 = 0;
  interfaces: InterfaceTable = compileInterfaces([]);
  /** By interface; negative = none. */
  perInterface: StaticArray<f64> = new StaticArray<f64>(0);
  perSecond: f64 = NO_LIMIT;
  /** Whether the interface of a request has to be known at all. */
  asksInterface: bool = false;
  hotspots: Hotspot[] = [];
  plan: MatchPlan | null = null;
  adaptive: bool = false;
  after: f64 = 3;
  queueMs: f64 = 10;
  cpu: f64 = 0.85;
  /** `NONE` = no signal of the application's own. */
  signalHeader: Slice = NONE;
  signalThreshold: f64 = 1;
  stressClass: bool = true;
  /** In the plan; -1 = none. */
  stressRule: i32 = NO_RULE;
  source: Source = Source.Header;
  sourceName: Slice = NONE;
  status: u32 = 429;
  retryAfter: u32 = 1;

  /** Owns the bytes of names. */
  constructor(readonly section: Json) {}
}

/** Null after saying which expression Envoy does not take. */
export function compileConfig(section: Json): LimitConfig | null {
  const config = new LimitConfig(section);
  config.app = text(section.textOf('app'));
  config.fingerprint = fingerprint(section);
  config.status = section.numberOf('status', 429) as u32;
  config.retryAfter = section.numberOf('retryAfterSeconds', 1) as u32;
  config.perSecond = section.numberOf('perSecond', NO_LIMIT);
  compileLimits(config);
  compileAdaptive(config);
  return compileRules(config) ? config : null;
}

function compileLimits(config: LimitConfig): void {
  const items = config.section.itemsOf('interfaces');
  config.interfaces = compileInterfaces(items);
  const limits = new StaticArray<f64>(config.interfaces.size);
  for (let i = 0; i < limits.length; i++) {
    limits[i] = i < items.length ? items[i].numberOf('perSecond', NO_LIMIT) : NO_LIMIT;
    if (limits[i] >= 0) config.asksInterface = true;
  }
  config.perInterface = limits;
}

function compileAdaptive(config: LimitConfig): void {
  const section = config.section;
  const adaptive = section.get('adaptive');
  if (adaptive === null) return;
  config.adaptive = true;
  config.asksInterface = true;
  config.after = adaptive.numberOf('after', 3);
  config.queueMs = adaptive.numberOf('queueMs', 10);
  config.cpu = adaptive.numberOf('cpu', 0.85);
  const signal = adaptive.get('signal');
  if (signal !== null) {
    config.signalHeader = lowerCase(signal.textOf('header'));
    config.signalThreshold = signal.numberOf('threshold', 1);
  }
  const from = section.get('queueTime');
  if (from !== null && from.is('none')) config.source = Source.None;
  if (from !== null && from.is('orca')) config.source = Source.Orca;
  const orca = config.source === Source.Orca;
  config.sourceName = orca ? section.textOf('orcaMetric') : lowerCase(section.textOf('queueTimeHeader'));
}

/** Hot values and stress-test traffic: everything that has a matcher. */
function compileRules(config: LimitConfig): bool {
  const compiler = new MatchCompiler(new EnvoyCel());
  const items = config.section.itemsOf('hotspots');
  for (let i = 0; i < items.length; i++) {
    const by = items[i].get('by')!;
    const kind = by.has('header') ? ValueKind.Header : by.has('cookie') ? ValueKind.Cookie : ValueKind.Query;
    const name = by.items[0].text;
    const match = items[i].get('match');
    const rule =
      match === null
        ? NO_RULE
        : compiler.add(match, items[i].textOf('name'), `adaptive-rate-limit.hotspots[${i}].match`);
    config.hotspots.push(
      new Hotspot(
        text(items[i].textOf('name')),
        kind,
        kind === ValueKind.Header ? lowerCase(name) : name,
        items[i].numberOf('perSecond', 1),
        rule,
      ),
    );
  }
  const stress = config.section.get('stress');
  if (stress !== null) {
    config.stressClass = stress.boolOf('class', true);
    const match = stress.get('match');
    if (match !== null) config.stressRule = compiler.add(match, STRESS, 'adaptive-rate-limit.stress.match');
  }
  config.plan = compiler.build();
  if (config.plan !== null) return true;
  refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy compiles`);
  return false;
}

const STRESS = ascii('stress');

/** Depends on all that the section says. Its depth is bounded by that of a configuration. */
function fingerprint(json: Json): u64 {
  let sum: u64 = mix64(((json.kind as u64) << 1) | (json.bool as u64)) ^ mix64(reinterpret<u64>(json.number));
  sum ^= hash64(json.text);
  for (let i = 0; i < json.items.length; i++) {
    if (i < json.keys.length) sum = mix64(sum ^ hash64(json.keys[i]));
    sum = mix64(sum + fingerprint(json.items[i]));
  }
  return sum;
}
