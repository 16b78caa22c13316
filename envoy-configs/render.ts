import { applicationCluster } from './application.ts';
import { type BootstrapNode, bootstrap, staticBootstrap } from './bootstrap.ts';
import { brokerClusters, brokerListeners } from './brokers.ts';
import { CLUSTER_LIMIT_FILE, clusterLimitClusters, clusterLimitExtension } from './cluster-limits.ts';
import { type Cluster, type LaneScheme, type LoadAssignment, laneScheme } from './clusters.ts';
import {
  controlExtension,
  networkExtension,
  pluginName,
  routerExtension,
  routerName,
  wasmExtension,
} from './filters.ts';
import { controlSection, eventSection } from './isolation.ts';
import {
  controlListener,
  gatewayListener,
  inboundListener,
  type Listener,
  type ListenerContext,
  outboundListener,
} from './listeners.ts';
import { calleesOf, type Gateway, type Instance, type JsonObject, type Mesh, type Service } from './mesh.ts';
import { type PlainParts, plainGateway, plainSidecar } from './plain.ts';
import type { RenderedNode, RenderTarget, Role } from './rendered.ts';
import {
  APPLICATION,
  gatewayRoutes,
  inboundRoutes,
  outboundRoutes,
  type RouteConfiguration,
  redirectUnits,
} from './routes.ts';
import { gatewaySections, inboundSections, outboundSections } from './sections.ts';
import { clustersOf, endpointsOf, secretsFolder, type TlsContext, unitClusters, unitsEndpoints } from './tls.ts';
import { discoveryFile, fileSource, PATHS, resourcesOf } from './xds.ts';

/** Renders every node of a mesh: gateways first, then the sidecar of each instance. Pure: same input, same text. */
export function renderMesh(mesh: Mesh, target: RenderTarget): RenderedNode[] {
  return [
    ...mesh.gateways.map((gateway) => renderGateway(mesh, gateway, target)),
    ...mesh.services.flatMap((service) =>
      service.instances.map((instance) => renderSidecar(mesh, service, instance, target)),
    ),
  ];
}

function renderGateway(mesh: Mesh, gateway: Gateway, target: RenderTarget): RenderedNode {
  const scheme = schemeFor(mesh, target.nodeDir(gateway.id));
  const callees = mesh.services.filter(({ name }) => gateway.routes.some(({ service }) => service === name));
  const sections = new Map<Role, JsonObject>([['gateway', gatewaySections(mesh, scheme, gateway.id)]]);
  const context = contextOf(mesh, gateway.id, target);
  const suite: Parts = {
    mesh,
    target,
    kind: 'gateway',
    node: {
      id: gateway.id,
      cluster: gateway.id,
      metadata: { role: 'gateway' },
      sourceAddress: gateway.address === '0.0.0.0' ? '' : gateway.address,
    },
    listeners: [gatewayListener(context, gateway)],
    routes: [gatewayRoutes(mesh, scheme, gateway)],
    clusters: callees.flatMap((service) => clustersOf(service, scheme, context.tls)),
    endpoints: callees.flatMap((service) => endpointsOf(service, scheme)),
    sections,
    control: null,
    network: null,
    addresses: [`${gateway.address}:${gateway.port}`],
  };
  return assemble(withoutSuite(suite, () => plainGateway(context, scheme, gateway, callees)));
}

function renderSidecar(mesh: Mesh, service: Service, instance: Instance, target: RenderTarget): RenderedNode {
  const scheme = schemeFor(mesh, target.nodeDir(instance.id));
  const callees = calleesOf(mesh, service);
  const units = redirectUnits(mesh, instance);
  const sections = new Map<Role, JsonObject>([
    ['inbound', inboundSections(mesh, instance)],
    ['outbound', outboundSections(mesh, scheme, instance, callees)],
  ]);
  const context = contextOf(mesh, instance.id, target);
  const control = controlSection(mesh);
  const suite: Parts = {
    mesh,
    target,
    kind: 'sidecar',
    node: {
      id: instance.id,
      cluster: service.name,
      metadata: {
        service: service.name,
        lane: instance.lane,
        version: instance.version,
        ...(instance.shard === undefined ? {} : { shard: String(instance.shard) }),
      },
      sourceAddress: instance.address,
    },
    listeners: [
      inboundListener(context, service, instance),
      outboundListener(context, instance),
      ...(control === null ? [] : [controlListener(context, instance)]),
      ...brokerListeners(mesh, service, instance, context.dir),
    ],
    control,
    network: control === null || service.brokers.length === 0 ? null : eventSection(mesh, service, instance),
    routes: [inboundRoutes(mesh, instance), outboundRoutes(mesh, scheme, callees)],
    clusters: [
      applicationCluster(service, instance, APPLICATION),
      ...brokerClusters(service),
      ...clusterLimitClusters(mesh),
      ...units.flatMap((unit) => unitClusters(service, unit, scheme, context.tls)),
      ...callees.flatMap((callee) => clustersOf(callee, scheme, context.tls)),
    ],
    endpoints: [
      ...units.flatMap((unit) => unitsEndpoints(service, unit)),
      ...callees.flatMap((callee) => endpointsOf(callee, scheme)),
    ],
    sections,
    extension: clusterLimitExtension(mesh, service),
    addresses: [`${instance.address}:${instance.ports.inbound}`, `${instance.address}:${instance.ports.outbound}`],
  };
  return assemble(withoutSuite(suite, () => plainSidecar(context, scheme, service, instance, callees)));
}

/** What of the suite a mesh on its way out still has; see {@link Mesh.plain}. */
function withoutSuite(suite: Parts, plainParts: () => PlainParts): Parts {
  const stage = suite.mesh.plain;
  if (stage === undefined) return suite;
  const plain = plainParts();
  const beside = {
    clusters: [...suite.clusters, ...plain.clusters],
    endpoints: [...suite.endpoints, ...plain.endpoints],
  };
  const unfiltered = { ...suite, sections: new Map([...suite.sections].map(([role]) => [role, {}] as const)) };
  if (stage === 'unfiltered') return unfiltered;
  if (stage === 'prepared') return { ...unfiltered, ...beside };
  const routed = { ...suite, ...plain, sections: new Map(), control: null, network: null };
  return stage === 'routed' ? { ...routed, ...beside } : { ...routed, clusters: [...kept(suite), ...plain.clusters] };
}

/** Clusters that are none of the suite's: brokers, and the service that counts shared limits. */
function kept({ mesh, clusters }: Parts): Cluster[] {
  const names = new Set([
    ...clusterLimitClusters(mesh).map(({ name }) => name),
    ...mesh.services.flatMap((service) => brokerClusters(service).map(({ name }) => name)),
  ]);
  return clusters.filter(({ name }) => names.has(name));
}

function schemeFor(mesh: Mesh, dir: string): LaneScheme {
  return { ...laneScheme(mesh), eds: (cluster) => fileSource(dir, PATHS.endpoints(cluster)) };
}

function contextOf(mesh: Mesh, id: string, target: RenderTarget): ListenerContext {
  return { mesh, dir: target.nodeDir(id), accessLog: target.accessLog(id), tls: tlsContext(mesh, id, target) };
}

function tlsContext(mesh: Mesh, id: string, target: RenderTarget): TlsContext | null {
  return mesh.tls === null ? null : { mesh, secrets: secretsFolder(target.nodeDir(id)), wasmPath: target.wasmPath };
}

interface Parts {
  readonly mesh: Mesh;
  readonly target: RenderTarget;
  readonly kind: RenderedNode['kind'];
  readonly node: BootstrapNode;
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly LoadAssignment[];
  readonly sections: ReadonlyMap<Role, JsonObject>;
  /** Of the control listener's filter; null without one. */
  readonly control: JsonObject | null;
  /** Of the filter before brokers; null without one. */
  readonly network: JsonObject | null;
  /** Of the stock filter that has a file of its own, if any. */
  readonly extension?: JsonObject | null;
  readonly addresses: readonly string[];
}

function assemble(parts: Parts): RenderedNode {
  const { mesh, target, node } = parts;
  const files: Record<string, string> = {
    [PATHS.bootstrap]: `${JSON.stringify(bootstrap(mesh, node, target), null, 2)}\n`,
    [PATHS.listeners]: discoveryFile('listener', parts.listeners),
    [PATHS.clusters]: discoveryFile('cluster', parts.clusters),
  };
  for (const assignment of parts.endpoints) {
    files[PATHS.endpoints(assignment.cluster_name)] = discoveryFile('endpoints', [assignment]);
  }
  for (const routes of parts.routes) files[PATHS.routes(routes.name)] = discoveryFile('routes', [routes]);
  if (parts.extension) files[CLUSTER_LIMIT_FILE] = discoveryFile('extension', [parts.extension]);
  for (const [role, section] of parts.sections) {
    files[PATHS.extension(pluginName(role))] = discoveryFile('extension', [
      wasmExtension(role, target.wasmPath, section),
    ]);
    if (role !== 'gateway' && role !== 'outbound') continue;
    files[PATHS.extension(routerName(role))] = discoveryFile('extension', [
      routerExtension(role, target.wasmPath, section),
    ]);
  }
  if (parts.control !== null) {
    files[PATHS.extension(pluginName('control'))] = discoveryFile('extension', [
      controlExtension(target.wasmPath, parts.control),
    ]);
  }
  if (parts.network !== null) {
    files[PATHS.extension(pluginName('network'))] = discoveryFile('extension', [
      networkExtension(target.wasmPath, parts.network),
    ]);
  }
  return {
    id: node.id,
    kind: parts.kind,
    dir: target.nodeDir(node.id),
    files,
    bootstrap: PATHS.bootstrap,
    secrets:
      mesh.tls === null && (mesh.centre === null || mesh.centre.credentials !== null)
        ? null
        : secretsFolder(target.nodeDir(node.id)),
    adminSocket: target.adminSocket(node.id),
    accessLog: target.accessLog(node.id),
    concurrency: mesh.concurrency,
    args: ['--drain-strategy', 'immediate', '--drain-time-s', String(mesh.listenerDrainSeconds)],
    listeners: parts.addresses,
  };
}

/**
 * One self-contained bootstrap with all that the node's files say, for `envoy --mode validate`, which follows no file.
 * `adminSocket` replaces the node's own, so that a running node's socket is left alone.
 */
export function staticForm(node: RenderedNode, adminSocket: string): string {
  const text = (path: string) => node.files[path] ?? '{"resources":[]}';
  const dynamic = JSON.parse(text(node.bootstrap)) as JsonObject;
  const withoutType = ({ '@type': _, ...resource }: JsonObject): JsonObject => resource;
  const clusters = resourcesOf(text(PATHS.clusters))
    .map(withoutType)
    .map((cluster) => {
      if (cluster.type !== 'EDS') return cluster;
      const { eds_cluster_config: _, ...rest } = cluster;
      const [assignment = {}] = resourcesOf(text(PATHS.endpoints(String(cluster.name))));
      return { ...rest, type: 'STATIC', load_assignment: withoutType(assignment) };
    });
  const inlined = JSON.stringify(resourcesOf(text(PATHS.listeners)).map(withoutType), (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const { rds, ...manager } = value as { rds?: { route_config_name: string } };
    if (rds) {
      const [routes = {}] = resourcesOf(text(PATHS.routes(rds.route_config_name))).map(withoutType);
      return { ...manager, route_config: routes };
    }
    const place = value as { name?: string; config_discovery?: unknown };
    if (place.config_discovery === undefined) return value;
    const [extension = {}] = resourcesOf(text(PATHS.extension(String(place.name))));
    return { name: place.name, typed_config: extension.typed_config };
  });
  return JSON.stringify(staticBootstrap(dynamic, adminSocket, JSON.parse(inlined) as JsonObject[], clusters), null, 2);
}
