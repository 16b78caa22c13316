import type { Json, JsonObject } from '../../envoy-configs/mesh.ts';
import { listAt, objectAt, type Rule } from './finding.ts';
import { pluginOf } from './plugin-rules.ts';

/** Mistakes in limits of requests per second. */

const FILTER = 'adaptive-rate-limit';

const unreachable: Rule = {
  name: 'unreachable-limit',
  check(value) {
    const plugin = pluginOf(value);
    if (!plugin || typeof plugin.configuration !== 'object' || plugin.configuration === null) return [];
    const configuration = plugin.configuration as JsonObject;
    const section = plugin.rootId === FILTER ? configuration : objectAt(configuration, FILTER);
    if (!section || typeof section.perSecond !== 'number') return [];
    const all = section.perSecond;
    return (['interfaces', 'hotspots'] as const).flatMap((key) =>
      listAt(section, key)
        .filter((item) => isAtLeast(item.perSecond, all))
        .map((item) => ({
          path: plugin.where,
          reason: `${key}: "${String(item.name)}" may have ${String(item.perSecond)} requests per second, the whole instance ${all}: its own limit is never met`,
          fix: 'a limit below that of the instance, or none',
        })),
    );
  },
};

function isAtLeast(rate: Json | undefined, all: number): boolean {
  return typeof rate === 'number' && rate >= all;
}

export const LIMIT_RULES: readonly Rule[] = [unreachable];
