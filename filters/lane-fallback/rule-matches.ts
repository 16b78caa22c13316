/** Compiles the matchers of a list of rules, in order, and answers them for the request of the running callback. */
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { MatchCompiler } from '../lane-tagging/matcher.config';
import { HostCel, RequestSource } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { refuse } from '../plugin';

export const REQUEST = new RequestSource();
const CEL = new HostCel();

/** The plan of the rules under `key`; null after saying which expression Envoy does not take. */
export function compilePlan(section: Json, key: string): MatchPlan | null {
  const rules = section.itemsOf(key);
  const compiler = new MatchCompiler(CEL);
  for (let i = 0; i < rules.length; i++) {
    compiler.add(rules[i].get('match'), rules[i].textOf('name'), `lane-fallback.${key}[${i}].match`);
  }
  const plan = compiler.build();
  if (plan === null) {
    refuse(`${compiler.refusedPath}: found "${text(compiler.refused)}", expected an expression that Envoy can compile`);
  }
  return plan;
}

/** Gives back what the plan holds in the host. */
export function releasePlan(plan: MatchPlan): void {
  for (let i = 0; i < plan.tokens.length; i++) CEL.drop(plan.tokens[i]);
}
