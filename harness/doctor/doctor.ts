import { fieldName } from '../config/errors.ts';
import { ENVOY_RULES } from './envoy-rules.ts';
import { type Document, type Finding, type Place, places } from './finding.ts';
import { GROUP_RULES, ISTIO_RULES } from './group-rules.ts';
import { LIMIT_RULES } from './limit-rules.ts';
import { PLUGIN_RULES, shaRule } from './plugin-rules.ts';

/** Digests of this build's module, by which references are judged. */
export interface KnownModule {
  readonly module: string;
  readonly manifest: string;
}

/** Names of all rules, with those that only a running Envoy shows. */
export function ruleNames(): string[] {
  const rules = [...ENVOY_RULES, ...PLUGIN_RULES, ...LIMIT_RULES, ...ISTIO_RULES, ...GROUP_RULES, shaRule(undefined)];
  return [...rules.map(({ name }) => name), 'trace-header', 'readable'];
}

/** Every rule on every document; in the order of the documents. */
export function diagnose(documents: readonly Document[], module?: KnownModule): Finding[] {
  const rules = [...ENVOY_RULES, ...PLUGIN_RULES, ...LIMIT_RULES, ...ISTIO_RULES, shaRule(module)];
  const groups = new Map<string, Place[]>();
  const findings: Finding[] = [];
  const add = (rule: string, place: Place, path: readonly (string | number)[], reason: string, fix: string) => {
    const whole = [...place.path, ...path];
    findings.push({ rule, place: place.document.at(whole), field: fieldName(whole), reason, fix });
  };
  for (const document of documents) {
    const known = groups.get(document.group) ?? [];
    groups.set(document.group, known);
    for (const place of places(document)) {
      known.push(place);
      for (const rule of rules) {
        for (const { path = [], reason, fix } of rule.check(place.value)) add(rule.name, place, path, reason, fix);
      }
    }
  }
  for (const known of groups.values()) {
    for (const rule of GROUP_RULES) {
      for (const { place, path = [], reason, fix } of rule.check(known)) add(rule.name, place, path, reason, fix);
    }
  }
  return findings;
}
