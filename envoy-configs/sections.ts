import type { LaneScheme } from './clusters.ts';
import { degradationSection } from './degradation.ts';
import { outlierSection } from './healing.ts';
import { isolationSection } from './isolation.ts';
import { limitSection, readsClasses } from './limits.ts';
import { authorities, type Instance, type JsonObject, type Mesh, type Service, type Trust } from './mesh.ts';
import type { Redirect, Rule } from './mesh-traffic.ts';
import type { Role } from './rendered.ts';
import { gatewayTlsSection, outboundTlsSection } from './sections-tls.ts';

/**
 * What each filter is told in each role: the plugin configurations, in the words of the filters' own schemas. A section is
 * left out where its filter has nothing to do, and a role without sections gets no wasm filter.
 */

type Sections = Readonly<Record<string, JsonObject>>;

export function gatewaySections(mesh: Mesh, scheme: LaneScheme, gatewayId: string): Sections {
  const gateway = mesh.gateways.find(({ id }) => id === gatewayId);
  const routed = mesh.services.filter(({ name }) => gateway?.routes.some(({ service }) => service === name));
  return enabledOnly(mesh, {
    'lane-tagging': {
      tagHeader: mesh.tagHeader,
      trust: trustOf(gateway?.trust ?? 'none'),
      ...sources(mesh),
      rules: mesh.rules.filter(({ at }) => at === 'gateway').map((rule) => gatewayRule(mesh, gatewayId, rule)),
    },
    'lane-fallback': fallbackSection(mesh, scheme, 'gateway', gatewayId, undefined),
    ...callerSection(mesh, 'gateway'),
    ...gatewayTlsSection(mesh, gateway),
    ...outlierSection(mesh, routed),
    ...degradation(mesh, gatewayId),
  });
}

export function inboundSections(mesh: Mesh, instance: Instance): Sections {
  const service = mesh.services.find(({ name }) => name === instance.service);
  const overload = service?.overload ?? null;
  const limits = service === undefined ? null : limitSection(service);
  const redirects = mesh.redirects.filter(
    (rule) => rule.service === instance.service && rule.fromLanes.includes(instance.lane),
  );
  return enabledOnly(mesh, {
    ...(service === undefined ? {} : isolationSection(mesh, service, instance)),
    ...(overload === null ? {} : { 'overload-shedding': { ...overload, direction: 'inbound', ...sources(mesh) } }),
    ...(limits === null ? {} : { 'adaptive-rate-limit': limits }),
    'trace-propagation': { ...mesh.trace.section, direction: 'inbound', tagHeader: mesh.tagHeader },
    ...(redirects.length === 0
      ? {}
      : {
          'lane-fallback': {
            direction: 'inbound',
            tagHeader: mesh.tagHeader,
            baseline: mesh.baseline,
            redirects: redirects.map((rule) => redirectRule(mesh, rule)),
          },
        }),
  });
}

export function outboundSections(
  mesh: Mesh,
  scheme: LaneScheme,
  instance: Instance,
  callees: readonly Service[],
): Sections {
  const rules = mesh.rules.filter(({ at }) => at === 'sidecar');
  return enabledOnly(mesh, {
    ...(rules.length === 0
      ? {}
      : {
          'lane-tagging': {
            tagHeader: mesh.tagHeader,
            // What the application sends is its own business: an explicit tag wins over every rule.
            trust: 'all',
            ...sources(mesh),
            rules: rules.map((rule) => sidecarRule(mesh, rule)),
          },
        }),
    'trace-propagation': { ...mesh.trace.section, direction: 'outbound', tagHeader: mesh.tagHeader },
    'lane-fallback': fallbackSection(mesh, scheme, 'outbound', instance.service, instance),
    ...callerSection(mesh, 'outbound'),
    ...outboundTlsSection(mesh, instance),
    ...outlierSection(mesh, callees),
    ...degradation(mesh, instance.service),
  });
}

/** Who calls a protected or limited service gives classes, and drops early what the former sheds. */
function callerSection(mesh: Mesh, role: Extract<Role, 'gateway' | 'outbound'>): Sections {
  const services = mesh.services.filter(({ overload }) => overload !== null);
  const classed = mesh.priorities.length > 0 && mesh.services.some(readsClasses);
  if (services.length === 0 && !classed) return {};
  return {
    'overload-shedding': {
      direction: 'outbound',
      // A gateway takes the header off before the filter can look at it.
      ...(role === 'gateway' ? { thresholdIn: 'metadata' } : {}),
      ...sources(mesh),
      classes: mesh.priorities.map(({ class: number, match }) => ({ class: number, match })),
      services: services.map((service) => ({ name: service.name, authorities: authorities(service) })),
    },
  };
}

function degradation(mesh: Mesh, caller: string): Sections {
  const section = degradationSection(mesh, caller, sources(mesh));
  return section === null ? {} : { degradation: section };
}

function enabledOnly(mesh: Mesh, sections: Sections): Sections {
  const kept: Record<string, JsonObject> = {};
  for (const [name, section] of Object.entries(sections)) {
    const filter = mesh.filters[name as keyof Mesh['filters']];
    if (filter.enabled) kept[name] = { ...section, ...filter.settings };
  }
  return kept;
}

/** In the filter's words: a list that is not given is left out. */
function trustOf(trust: Trust): JsonObject | string {
  if (typeof trust === 'string') return trust;
  const { cidrs, identities } = trust;
  return { ...(cidrs.length > 0 ? { cidrs } : {}), ...(identities.length > 0 ? { identities } : {}) };
}

/** Where lane-tagging finds the trace id that percentages draw by: where trace-propagation finds it. */
function sources(mesh: Mesh): JsonObject {
  const configured = mesh.trace.section.sources;
  return configured === undefined ? {} : { sources: configured };
}

/** A gateway that serves several services tags only what goes to the rule's entrance. */
function gatewayRule(mesh: Mesh, gatewayId: string, rule: Rule): JsonObject {
  const routes = mesh.gateways.find(({ id }) => id === gatewayId)?.routes ?? [];
  const others = routes.filter(({ service }) => service !== rule.entrance);
  if (others.length === 0) return { name: rule.name, lane: rule.lane, match: rule.match };
  const mine = routes.filter(({ service }) => service === rule.entrance).map(({ pathPrefix }) => pathPrefix);
  // A longer prefix of another service takes its paths away from ours.
  const taken = others
    .map(({ pathPrefix }) => pathPrefix)
    .filter((other) => mine.some((prefix) => other.startsWith(prefix) && other.length > prefix.length));
  return {
    name: rule.name,
    lane: rule.lane,
    match: all([anyPrefix(mine), ...(taken.length === 0 ? [] : [{ not: anyPrefix(taken) } as JsonObject]), rule.match]),
  };
}

function anyPrefix(prefixes: readonly string[]): JsonObject {
  const [only] = prefixes;
  if (prefixes.length === 1 && only !== undefined) return { path: { prefix: only } };
  return { any: prefixes.map((prefix) => ({ path: { prefix } })) };
}

/** The caller's sidecar tags only calls to the entrance; Envoy answers `host` with `:authority`. */
function sidecarRule(mesh: Mesh, rule: Rule): JsonObject {
  const entrance = mesh.services.find(({ name }) => name === rule.entrance);
  const hosts = entrance ? authorities(entrance) : [rule.entrance];
  return {
    name: rule.name,
    lane: rule.lane,
    match: all([{ header: { name: 'host', in: hosts } }, rule.match]),
  };
}

function all(matchers: readonly JsonObject[]): JsonObject {
  return { all: matchers };
}

function fallbackSection(
  mesh: Mesh,
  scheme: LaneScheme,
  direction: Extract<Role, 'gateway' | 'outbound'>,
  caller: string,
  instance: Instance | undefined,
): JsonObject {
  const steering = mesh.steering.filter(({ callers }) => callers.length === 0 || callers.includes(caller));
  return {
    direction,
    tagHeader: mesh.tagHeader,
    baseline: mesh.baseline,
    stages: scheme.stages,
    lanes: mesh.lanes.map(({ name, mode, chain }) => ({ name, mode, chain })),
    services: mesh.services.map((service) => ({
      name: service.name,
      authorities: authorities(service),
      ...(service.shards === 0 ? {} : { shards: service.shards }),
    })),
    ...(instance === undefined ? {} : { shard: instance.number }),
    ...(steering.length === 0 ? {} : { steering: steering.map((rule) => steeringRule(mesh, rule)) }),
  };
}

function steeringRule(mesh: Mesh, rule: Mesh['steering'][number]): JsonObject {
  return {
    name: rule.name,
    ...(rule.services.length === 0 ? {} : { services: rule.services }),
    ...(rule.fromLanes.length === 0 ? {} : { lanes: rule.fromLanes }),
    ...matchOf(mesh, rule.services[0] ?? '', rule.interface, rule.match),
    percent: rule.percent,
    to: rule.to.map(({ target, weight }) => ({ ...target, weight })),
  };
}

function redirectRule(mesh: Mesh, rule: Redirect): JsonObject {
  return {
    name: rule.name,
    ...matchOf(mesh, rule.service, rule.interface, rule.match),
    percent: rule.percent,
    to: rule.to,
  };
}

/** An interface of a service is a route template and methods: both become matchers beside the rule's own. */
function matchOf(mesh: Mesh, service: string, interfaceName: string, match: JsonObject | null): JsonObject {
  const found = mesh.services
    .find(({ name }) => name === service)
    ?.interfaces.find(({ name }) => name === interfaceName);
  const matchers: JsonObject[] = [];
  if (found) matchers.push({ path: templateTest(found.template) });
  if (found && found.methods.length > 0) matchers.push({ method: { in: found.methods } });
  if (match) matchers.push(match);
  const [only] = matchers;
  if (only === undefined) return {};
  return { match: matchers.length === 1 ? only : all(matchers) };
}

/** A template without parameters that ends open is a prefix, the cheaper test. */
function templateTest(template: string): JsonObject {
  return template.endsWith('**') && !template.includes('{') ? { prefix: template.slice(0, -2) } : { template };
}
