/** From a section that the schema has accepted, defaults filled in, to compiled form. */
import { ascii, equal, Slice, text } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { MatchCompiler } from '../lane-tagging/matcher.config';
import { EnvoyCel } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { refuse } from '../plugin';

const SECOND: f64 = 1000;

@final
export class IsolationConfig {
  /** Null without rules. */
  plan: MatchPlan | null = null;
  readonly control: bool;
  readonly edas: bool;
  readonly isolated: bool;
  readonly centre: bool;
  readonly healthPath: Slice;
  readonly drainMs: f64;
  readonly delayMs: f64;
  private readonly identities: StaticArray<u64>;

  constructor(
    /** Owns the bytes of names. */
    readonly section: Json,
  ) {
    this.control = section.get('direction')!.is('control');
    this.edas = isTrue(section.get('edas'));
    this.isolated = isTrue(section.get('isolated'));
    this.centre = isTrue(section.get('centre'));
    this.healthPath = section.textOf('healthPath');
    this.drainMs = section.numberOf('drainSeconds', 30) * SECOND;
    this.delayMs = section.numberOf('delaySeconds', 0) * SECOND;
    const named = section.itemsOf('identities');
    this.identities = new StaticArray<u64>(named.length);
    for (let i = 0; i < named.length; i++) this.identities[i] = named[i].text;
  }

  /** Whether `allows` can be true at all. */
  get asksIdentity(): bool {
    return this.identities.length > 0;
  }

  allows(identity: Slice): bool {
    for (let i = 0; i < this.identities.length; i++) {
      if (equal(unchecked(this.identities[i]), identity)) return true;
    }
    return false;
  }
}

/** Null after saying which expression Envoy does not take. */
export function compileConfig(section: Json): IsolationConfig | null {
  const config = new IsolationConfig(section);
  const rules = section.itemsOf('rules');
  if (rules.length === 0) return config;
  const compiler = new MatchCompiler(new EnvoyCel());
  for (let i = 0; i < rules.length; i++) {
    compiler.add(rules[i].get('match'), ascii(text(rules[i].textOf('name'))), `isolation.rules[${i}].match`);
  }
  config.plan = compiler.build();
  if (config.plan !== null) return config;
  refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy compiles`);
  return null;
}

function isTrue(value: Json | null): bool {
  return value !== null && value.bool;
}
