import { laneScheme } from '../../envoy-configs/clusters.ts';
import { calleesOf } from '../../envoy-configs/mesh.ts';
import type { Problem } from '../../envoy-configs/problem.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { gatewaySections, inboundSections, outboundSections } from '../../envoy-configs/sections.ts';
import { definitions } from '../../filters/lane-tagging/matcher.schema.ts';
import { sections } from '../../filters/sections.gen.ts';
import { normalise } from '../../tools/schema-subset.ts';
import { checkerOf } from './schema-errors.ts';

/** By filter: compiling the schemas of all takes longer than most commands. */
const checks = new Map<string, (value: unknown) => Problem[]>();

/**
 * Checks what `filters.<name>.settings` makes of the filters' configurations, by the filters' own schemas: Envoy would refuse
 * them later, with less to say about where they came from. One instance of a service stands for all.
 */
export function settingsProblems(config: CausewayConfig): Problem[] {
  const names = (Object.keys(config.filters ?? {}) as (keyof NonNullable<CausewayConfig['filters']>)[]).filter(
    (name) => config.filters?.[name]?.settings !== undefined,
  );
  if (names.length === 0) return [];
  const mesh = resolveMesh(config);
  const scheme = laneScheme(mesh);
  const rendered = [
    ...mesh.gateways.map(({ id }) => gatewaySections(mesh, scheme, id)),
    ...mesh.services.flatMap((service) => {
      const [first] = service.instances;
      if (first === undefined) return [];
      return [inboundSections(mesh, first), outboundSections(mesh, scheme, first, calleesOf(mesh, service))];
    }),
  ];
  const found = new Map<string, Problem>();
  for (const section of rendered) {
    for (const filter of names) {
      const configuration = section[filter];
      if (configuration === undefined) continue;
      for (const problem of checkOf(filter)(configuration)) {
        const located = { ...problem, path: ['filters', filter, 'settings', ...problem.path] };
        found.set(JSON.stringify(located), located);
      }
    }
  }
  return [...found.values()];
}

/**
 * What is wrong with a plugin's whole configuration: the suite's by `causeway`, one filter's by its name; undefined for a root id
 * that the module has not.
 */
export function checkPlugin(rootId: string, configuration: unknown): Problem[] | undefined {
  if (rootId !== 'causeway' && !(rootId in sections)) return undefined;
  return checkOf(rootId)(configuration);
}

function checkOf(rootId: string): (value: unknown) => Problem[] {
  let checker = checks.get(rootId);
  if (checker === undefined) {
    const schema = rootId === 'causeway' ? suiteSchema() : normalise(sections[rootId as keyof typeof sections], rootId);
    checker = checkerOf({ ...schema, $defs: normalised(definitions) });
    checks.set(rootId, checker);
  }
  return checker;
}

/** All sections, in the words that the formats of the module have. */
function suiteSchema(): object {
  return { type: 'object', additionalProperties: false, properties: normalised(sections) };
}

function normalised(schemas: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, normalise(schema, name)]));
}
