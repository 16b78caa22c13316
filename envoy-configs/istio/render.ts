import { calleesOf, type JsonObject, type Mesh, type Service } from '../mesh.ts';
import { COVERAGE } from '../observability/filters.ts';
import { gatewaySections, inboundSections, outboundSections } from '../sections.ts';
import { bootstrapOverrides } from './bootstrap.ts';
import { laneSubset, lanesOf } from './chains.ts';
import { gatewayLaneFilter, serviceFilter } from './clusters.ts';
import { destinationRule } from './destinations.ts';
import { faultFilters, gatewayFilter, SERVED_PROPERTY, servedFilter, sidecarFilter } from './filters.ts';
import { type ConfigMap, type Resource, resource, yamlOf } from './kube.ts';
import { hostOf, type IstioOptions, laneLabels, withClusterNames } from './options.ts';
import { pluginResource } from './plugins.ts';
import { gatewayResources, virtualService } from './routes.ts';

/** Something of the mesh that Istio's resources cannot say. */
export class NotOnIstio extends Error {
  override name = 'NotOnIstio';
}

/** One file of the rendering: a name without extension and its resources. */
export interface IstioFile {
  readonly name: string;
  readonly resources: readonly Resource[];
  /** Which no CRD of Istio describes. */
  readonly configMaps?: readonly ConfigMap[];
}

/**
 * Everything that Istio has to be told for a mesh's lanes. Services, Deployments and Istio itself are there already; Pods
 * have the labels that `istio.appLabel` and `istio.laneLabel` name. Throws {@link NotOnIstio}.
 */
export function renderIstio(plain: Mesh, istio: IstioOptions): readonly IstioFile[] {
  refuse(plain, istio);
  const mesh = withClusterNames(plain, istio);
  return [
    { name: '00-bootstrap', resources: [], configMaps: bootstrapOverrides(mesh, istio) },
    ...mesh.services.map((service) => ({ name: `10-${service.name}`, resources: ofService(mesh, service, istio) })),
    { name: '20-sidecars', resources: [...sidecars(mesh, istio), ...servedLanes(mesh, istio)] },
    ...mesh.gateways.map((gateway) => ({ name: `30-${gateway.id}`, resources: ofGateway(mesh, gateway.id, istio) })),
  ];
}

function refuse(mesh: Mesh, istio: IstioOptions): void {
  const [redirect] = mesh.redirects;
  if (redirect) {
    throw new NotOnIstio(
      `redirects: found "${redirect.name}", expected none: a provider-side redirect needs a static cluster in the sidecar, which Istio does not render; use steering`,
    );
  }
  const shared = mesh.services.find(({ limits }) => (limits?.cluster.length ?? 0) > 0);
  if (shared) {
    throw new NotOnIstio(
      `services.${shared.name}.limits.cluster: found ${shared.limits?.cluster.length}, expected none: Istio's own rate limiting filter and descriptors are to be used`,
    );
  }
  if (mesh.centre !== null) {
    throw new NotOnIstio(
      `centre: found ${mesh.centre.address}:${mesh.centre.port}, expected none: what it hears of and decides is outlier-blacklist's and isolation's, which Istio's resources cannot have`,
    );
  }
  if (mesh.agent !== null && istio.agentModule === null) {
    throw new NotOnIstio(
      `istio.agentModule: found none, expected file:///path of the module in every proxy's container: the agent starts with the proxy, and istio-agent fetches ${istio.module.url} for filters only; mount it there, or leave out agent`,
    );
  }
  const consumer = mesh.services.find(({ brokers }) => brokers.length > 0);
  if (consumer) {
    throw new NotOnIstio(
      `services.${consumer.name}.brokers: found ${consumer.brokers.length}, expected none: ${COVERAGE['event-isolation']?.istio}`,
    );
  }
  const sharded = mesh.services.find(({ shards }) => shards > 0);
  if (sharded) {
    throw new NotOnIstio(
      `services.${sharded.name}.shards: found ${sharded.shards}, expected none: under Istio endpoints have no labels to choose a shard by`,
    );
  }
}

/** Filters that Istio's resources cannot carry may not be asked for: half of one would be worse than none. */
function refuseSections(sections: JsonObject): JsonObject {
  for (const name of Object.keys(sections)) {
    const why = COVERAGE[name]?.istio;
    if (typeof why === 'string') throw new NotOnIstio(`${name}: found its settings, expected none: ${why}`);
  }
  return sections;
}

function ofService(mesh: Mesh, service: Service, istio: IstioOptions): Resource[] {
  const faults = mesh.faults.filter(({ services }) => services.length === 0 || services.includes(service.name));
  return [
    destinationRule(mesh, service, istio),
    virtualService(mesh, service, istio),
    serviceFilter(mesh, service, istio),
    ...(service.calls === null ? [] : [sidecarScope(mesh, service, service.calls, istio)]),
    ...(faults.length === 0 ? [] : [faultFilters(mesh, faults, service.name, istio)]),
  ];
}

/** A sidecar hears only of what its service calls. */
function sidecarScope(mesh: Mesh, service: Service, calls: readonly string[], istio: IstioOptions): Resource {
  const callees = mesh.services.filter(({ name }) => calls.includes(name));
  return resource('Sidecar', istio.namespace, `causeway-${service.name}`, {
    workloadSelector: { labels: { [istio.appLabel]: service.name } },
    egress: [{ hosts: [...callees.map((callee) => `./${hostOf(callee, istio)}`), 'istio-system/*'] }],
  });
}

/** One resource for each role where all sidecars are told the same; else one for each service. */
function sidecars(mesh: Mesh, istio: IstioOptions): Resource[] {
  const wasm = istio.api === 'envoyfilter';
  return (['inbound', 'outbound'] as const).flatMap((role) => {
    const each = mesh.services.map((service) => ({ service, sections: sidecarSections(mesh, service, role) }));
    const same = new Set(each.map(({ sections }) => JSON.stringify(sections))).size <= 1;
    const wanted = same
      ? each.slice(0, 1).map(({ sections }) => ({ name: `causeway-${role}`, sections, selector: undefined }))
      : each.map(({ service, sections }) => ({
          name: `causeway-${role}-${service.name}`,
          sections,
          selector: { [istio.appLabel]: service.name },
        }));
    return wanted.flatMap(({ name, sections, selector }) => [
      sidecarFilter(mesh, role, name, sections, istio, wasm, selector),
      ...(wasm || Object.keys(sections).length === 0 ? [] : [pluginResource(role, name, sections, istio, selector)]),
    ]);
  });
}

/** One for each lane; where a service's lane has labels of its own, one for that. */
function servedLanes(mesh: Mesh, istio: IstioOptions): Resource[] {
  const marks = new Map<string, Resource>();
  for (const service of mesh.services) {
    for (const lane of lanesOf(mesh)) {
      const labels = laneLabels(service, lane, istio);
      const own = Object.keys(labels).join() !== istio.laneLabel || labels[istio.laneLabel] !== lane;
      const name = `causeway-served-${own ? `${service.name}-` : ''}${laneSubset(lane)}`;
      const selector = own ? { [istio.appLabel]: service.name, ...labels } : labels;
      if (!marks.has(name)) marks.set(name, servedFilter(name, lane, selector, istio));
    }
  }
  return [...marks.values()];
}

function ofGateway(mesh: Mesh, id: string, istio: IstioOptions): Resource[] {
  const gateway = mesh.gateways.find((candidate) => candidate.id === id);
  if (!gateway) return [];
  const wasm = istio.api === 'envoyfilter';
  const sections = byRoute(refuseSections(gatewaySections(mesh, SCHEME(mesh), id)));
  return [
    ...gatewayResources(mesh, gateway, istio),
    gatewayLaneFilter(mesh, gateway, istio),
    gatewayFilter(mesh, gateway, sections, istio, wasm),
    ...(wasm || Object.keys(sections).length === 0
      ? []
      : [pluginResource('gateway', `causeway-${gateway.id}`, sections, istio)]),
  ];
}

/** Only `stages` is read of it, which {@link byRoute} drops. */
const SCHEME = (mesh: Mesh) => ({ baseline: mesh.baseline, stages: 1, pins: false });

function sidecarSections(mesh: Mesh, service: Service, role: 'inbound' | 'outbound'): JsonObject {
  const [instance] = service.instances;
  if (!instance) return {};
  return role === 'inbound'
    ? refuseSections(inboundSections(mesh, instance))
    : byRoute(refuseSections(outboundSections(mesh, SCHEME(mesh), instance, calleesOf(mesh, service))));
}

/** lane-fallback tells the routes, and learns who served from metadata; sidecars of all instances are told the same. */
function byRoute(sections: JsonObject): JsonObject {
  const fallback = sections['lane-fallback'] as JsonObject | undefined;
  if (fallback === undefined) return sections;
  const { stages: _stages, shard: _shard, ...rest } = fallback;
  return { ...sections, 'lane-fallback': { handOver: 'route', servedProperty: SERVED_PROPERTY, ...rest } };
}

/** What is written to a file of the rendering. */
export function yamlOfFile({ resources, configMaps = [] }: IstioFile): string {
  return yamlOf([...configMaps, ...resources]);
}
