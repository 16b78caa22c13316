import { accessFilters } from './access.ts';
import { applicationCluster } from './application.ts';
import { brokerListeners } from './brokers.ts';
import { clusterLimitActions, clusterLimitPlace } from './cluster-limits.ts';
import { type Cluster, type LaneScheme, type LoadAssignment, seconds, socketAddress } from './clusters.ts';
import { type HttpFilter, routerFilter } from './filters.ts';
import { hashPolicy, NEVER_SEEN, PREVIOUS_HOSTS, type Route } from './lane-routing.ts';
import { connectionManager, EDGE, inboundChains, type Listener, type ListenerContext } from './listeners.ts';
import { authorities, type Gateway, type Instance, type JsonObject, type Mesh, type Service } from './mesh.ts';
import { plainCluster, plainClusterName, plainEndpoints } from './plain-clusters.ts';
import type { ChainRole } from './rendered.ts';
import { configuration, type RouteConfiguration } from './routes.ts';
import { encrypted, type TlsContext } from './tls.ts';

/**
 * The mesh without the suite: what is left after an uninstall. Stock filters only, every call to the baseline by one cluster
 * for each callee, no header of ours. What `causeway.yaml` says of TLS, callers, tokens, brokers and shared limits goes on.
 */

/** What a node has in place of what the suite gave it. */
export interface PlainParts {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly LoadAssignment[];
}

/** Names of services have no dots, so no service's cluster is called like it. */
const APPLICATION = 'application.local';
/** Calls to what is no service of the mesh. */
const NOBODY: Route = { match: { prefix: '/' }, direct_response: { status: 404 } };

export function plainGateway(
  context: ListenerContext,
  scheme: LaneScheme,
  gateway: Gateway,
  callees: readonly Service[],
): PlainParts {
  const manager = plainManager(context, 'gateway', [], EDGE);
  const listener = {
    name: gateway.id,
    address: socketAddress(gateway.address, gateway.port),
    traffic_direction: 'INBOUND',
    filter_chains: [{ filters: [manager] }],
  };
  const routes = gateway.routes.flatMap(({ pathPrefix, service }) =>
    callees.filter(({ name }) => name === service).map((callee) => routeTo(callee, pathPrefix)),
  );
  return {
    listeners: [listener],
    routes: [configuration('gateway', [{ name: 'everything', domains: ['*'], routes }])],
    ...callsTo(callees, scheme, context.tls),
  };
}

export function plainSidecar(
  context: ListenerContext,
  scheme: LaneScheme,
  service: Service,
  instance: Instance,
  callees: readonly Service[],
): PlainParts {
  const { mesh, dir } = context;
  const inbound = [...accessFilters(mesh, service), ...clusterLimitPlace(mesh, dir)];
  const calls = callsTo(callees, scheme, context.tls);
  return {
    listeners: [
      {
        name: 'inbound',
        address: socketAddress(instance.address, instance.ports.inbound),
        traffic_direction: 'INBOUND',
        ...inboundChains(context.tls, service, instance, plainManager(context, 'inbound', inbound, {})),
      },
      {
        name: 'outbound',
        address: socketAddress(instance.address, instance.ports.outbound),
        traffic_direction: 'OUTBOUND',
        filter_chains: [{ filters: [plainManager(context, 'outbound', [], { generate_request_id: false })] }],
      },
      ...brokerListeners({ ...mesh, isolation: null, lossless: null }, service, instance, dir),
    ],
    routes: [inboundRoutes(mesh, service), outboundRoutes(callees)],
    clusters: [applicationCluster(service, instance, APPLICATION), ...calls.clusters],
    endpoints: calls.endpoints,
  };
}

function callsTo(
  callees: readonly Service[],
  scheme: LaneScheme,
  tls: TlsContext | null,
): Pick<PlainParts, 'clusters' | 'endpoints'> {
  return {
    clusters: callees.map((callee) => {
      const cluster = plainCluster(callee, scheme);
      return callee.tls?.mode === 'on' && tls !== null ? encrypted(cluster, callee, tls) : cluster;
    }),
    endpoints: callees.map((callee) => plainEndpoints(callee, scheme)),
  };
}

function inboundRoutes(mesh: Mesh, service: Service): RouteConfiguration {
  const route = { match: { prefix: '/' }, route: { cluster: APPLICATION, timeout: seconds(service.timeoutMs) } };
  const limits = clusterLimitActions(mesh, service);
  return configuration('inbound', [{ name: 'application', domains: ['*'], routes: [route], ...limits }]);
}

function outboundRoutes(callees: readonly Service[]): RouteConfiguration {
  return configuration('outbound', [
    ...callees.map((callee) => ({ name: callee.name, domains: authorities(callee), routes: [routeTo(callee, '/')] })),
    { name: 'nobody', domains: ['*'], routes: [NOBODY] },
  ]);
}

/** Tried again where the application cannot have seen the request, at another host. */
function routeTo(service: Service, prefix: string): Route {
  return {
    match: { prefix },
    route: {
      cluster: plainClusterName(service),
      timeout: seconds(service.timeoutMs),
      retry_policy: {
        retry_on: NEVER_SEEN.filter((word) => word !== 'retriable-headers').join(','),
        num_retries: 2,
        retry_host_predicate: [PREVIOUS_HOSTS],
        host_selection_retry_max_attempts: 5,
      },
      ...hashPolicy(service),
    },
  };
}

/** Nothing of lanes in its access log. */
function plainManager(
  context: ListenerContext,
  role: ChainRole,
  filters: readonly HttpFilter[],
  fields: JsonObject,
): JsonObject {
  return connectionManager(context, role, [...filters, routerFilter()], fields, {});
}
