/** Compiles the matchers of a list of rules, in order, and answers them for the request of the running callback. */
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { MatchCompiler } from '../lane-tagging/matcher.config';
import { EnvoyCel, StreamSource } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { refuse } from '../plugin';

export const REQUEST = new StreamSource();

/** The plan of the rules under `key`; null after saying which expression Envoy does not take. */
export function compilePlan(section: Json, key: string): MatchPlan | null {
  const rules = section.itemsOf(key);
  const compiler = new MatchCompiler(new EnvoyCel());
  for (let i = 0; i < rules.length; i++) {
    compiler.add(rules[i].get('match'), rules[i].textOf('name'), `lane-fallback.${key}[${i}].match`);
  }
  const plan = compiler.build();
  if (plan === null) {
    refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy can compile`);
  }
  return plan;
}
