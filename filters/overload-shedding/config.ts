/** From a section that the schema has accepted, defaults filled in, to compiled form. */
import { ascii, lenOf, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { NameTable } from '../lane-fallback/name-table';
import { MatchCompiler } from '../lane-tagging/matcher.config';
import { EnvoyCel } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { refuse } from '../plugin';
import { formatOf, lowerCase } from '../trace-propagation/config';
import { Source } from './report';

@final
export class SheddingConfig {
  inbound: bool = false;
  app: string = '';
  source: Source = Source.Header;
  /** Of the header, or of the metric. */
  sourceName: Slice = NONE;
  targetMs: f64 = 15;
  status: u32 = 503;
  retryAfter: u32 = 1;
  /** `NONE` = cohorts are drawn by trace. */
  userHeader: Slice = NONE;
  /** Parallel: header and format of the trace-id sources; empty = whatever another filter says. */
  sources: StaticArray<u64> = new StaticArray<u64>(0);
  formats: StaticArray<i32> = new StaticArray<i32>(0);
  /** By rule. */
  classes: StaticArray<i32> = new StaticArray<i32>(0);
  plan: MatchPlan | null = null;
  /** The threshold is found in dynamic metadata instead of the header. */
  inMetadata: bool = false;
  services: string[] = [];
  authorities: NameTable = new NameTable(0, true);

  /** Owns the bytes of names. */
  constructor(readonly section: Json) {}
}

/** Null after saying which expression Envoy does not take. */
export function compileConfig(section: Json): SheddingConfig | null {
  const config = new SheddingConfig(section);
  config.inbound = is(section, 'direction', 'inbound');
  config.app = text(section.textOf('app'));
  if (is(section, 'queueTime', 'none')) config.source = Source.None;
  if (is(section, 'queueTime', 'orca')) config.source = Source.Orca;
  const orca = config.source === Source.Orca;
  config.sourceName = orca ? section.textOf('orcaMetric') : lowerCase(section.textOf('queueTimeHeader'));
  config.targetMs = section.numberOf('targetMs', 15);
  config.status = section.numberOf('status', 503) as u32;
  config.retryAfter = section.numberOf('retryAfterSeconds', 1) as u32;
  const user = section.textOf('userHeader');
  if (lenOf(user) > 0) config.userHeader = lowerCase(user);
  config.inMetadata = is(section, 'thresholdIn', 'metadata');
  compileSources(config);
  compileServices(config);
  return compileClasses(config) ? config : null;
}

function is(section: Json, key: string, value: string): bool {
  const found = section.get(key);
  return found !== null && found.is(value);
}

function compileSources(config: SheddingConfig): void {
  const sources = config.section.itemsOf('sources');
  config.sources = new StaticArray<u64>(sources.length);
  config.formats = new StaticArray<i32>(sources.length);
  for (let i = 0; i < sources.length; i++) {
    const name = lowerCase(sources[i].textOf('header'));
    config.sources[i] = name;
    config.formats[i] = formatOf(sources[i], name);
  }
}

function compileServices(config: SheddingConfig): void {
  const services = config.section.itemsOf('services');
  let names = 0;
  for (let i = 0; i < services.length; i++) names += services[i].itemsOf('authorities').length;
  config.authorities = new NameTable(names, true);
  for (let i = 0; i < services.length; i++) {
    config.services.push(text(services[i].textOf('name')));
    const authorities = services[i].itemsOf('authorities');
    for (let j = 0; j < authorities.length; j++) config.authorities.add(authorities[j].text, i);
  }
}

function compileClasses(config: SheddingConfig): bool {
  const rules = config.section.itemsOf('classes');
  if (rules.length === 0) return true;
  const compiler = new MatchCompiler(new EnvoyCel());
  config.classes = new StaticArray<i32>(rules.length);
  for (let i = 0; i < rules.length; i++) {
    config.classes[i] = rules[i].numberOf('class', 5) as i32;
    compiler.add(rules[i].get('match'), ascii(i.toString()), `overload-shedding.classes[${i}].match`);
  }
  config.plan = compiler.build();
  if (config.plan !== null) return true;
  refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy compiles`);
  return false;
}
