import type { JsonObject } from './mesh.ts';

/**
 * Label keys that the filters append to a metric's name as `.key.value`. Keys end a value as well, because a value (a lane)
 * may hold dots; hence no lane or rule may be called like a key (checks.ts).
 */
export const METRIC_LABELS = [
  'wanted',
  'served',
  'service',
  'interface',
  'rule',
  'lane',
  'source',
  'reason',
  'kind',
  'class',
  'interface',
  'result',
  'role',
  'worker',
] as const;

/**
 * `stats_config`: turns `causeway_x_total.wanted.dev1.served.base` into `causeway_x_total{wanted="dev1",served="base"}`.
 * Group 1 is what is cut out of the name, group 2 the label's value.
 */
export function statsConfig(): JsonObject {
  const stop = `(?:\\.(?:${METRIC_LABELS.join('|')})\\.|$)`;
  return {
    stats_tags: METRIC_LABELS.map((label) => ({
      tag_name: label,
      regex: `^wasmcustom\\.causeway_.*?(\\.${label}\\.(.+?))${stop}`,
    })),
  };
}
