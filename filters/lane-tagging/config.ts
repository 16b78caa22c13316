import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, ptrOf, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { refuse } from '../plugin';
import { blocksOf, MatchCompiler } from './matcher.config';
import { EnvoyCel } from './matcher.host';
import { MatchPlan } from './matcher.policy';
import { TaggingMetrics } from './metrics';
import { TrustPolicy } from './policy';

/** The configuration in compiled form. Slices point into `section`. */
@final
export class TaggingConfig {
  metrics: TaggingMetrics | null = null;

  constructor(
    readonly section: Json,
    readonly trust: TrustPolicy,
    readonly plan: MatchPlan,
    /** By rule: the tag it gives, and its name for metrics. */
    readonly lanes: StaticArray<u64>,
    readonly names: StaticArray<string>,
    /** A believed tag that is none is answered 400. */
    readonly closed: bool,
  ) {}
}

/** Compiles a section that the schema has accepted; null after saying which expression Envoy does not take. */
export function compileConfig(section: Json): TaggingConfig | null {
  const rules = section.itemsOf('rules');
  const compiler = new MatchCompiler(new EnvoyCel());
  const lanes = new StaticArray<u64>(rules.length);
  const names = new StaticArray<string>(rules.length);
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    const named = rule.has('name');
    lanes[i] = rule.textOf('lane');
    names[i] = named ? text(rule.textOf('name')) : i.toString();
    const salt = ascii(names[i]);
    compiler.add(rule.get('match'), salt, `lane-tagging.rules[${i}].match`);
    heap.free(ptrOf(salt));
  }
  const plan = compiler.build();
  if (plan === null) {
    refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy compiles`);
    return null;
  }
  const mode = section.get('failureMode');
  return new TaggingConfig(
    section,
    trustOf(section.get('trust')),
    plan,
    lanes,
    names,
    mode !== null && mode.is('closed'),
  );
}

function trustOf(trust: Json | null): TrustPolicy {
  const named: Json[] = trust === null ? [] : trust.itemsOf('identities');
  const identities = new StaticArray<u64>(named.length);
  for (let i = 0; i < named.length; i++) identities[i] = named[i].text;
  const cidrs: Json[] = trust === null ? [] : trust.itemsOf('cidrs');
  return new TrustPolicy(trust !== null && trust.is('all'), blocksOf(cidrs), identities);
}
