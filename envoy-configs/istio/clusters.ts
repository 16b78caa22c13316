import { seconds } from '../clusters.ts';
import { NEVER_SEEN_HEADERS } from '../lane-routing.ts';
import type { Gateway, JsonObject, Mesh, Service } from '../mesh.ts';
import { envoyFilter, type Patch } from './envoy-filter.ts';
import type { Resource } from './kube.ts';
import { hostOf, type IstioOptions } from './options.ts';
import { gatewayRoutes, type LaneRoute, laneRoutes, memberSubsets, triesOf } from './routes.ts';

/**
 * How a chain of lanes is walked where each lane is a cluster of its own: a cluster for each chain, whose n-th member gets the
 * n-th try; a member without a usable host passes within the same try. An aggregate cluster does so by priorities and is in every
 * proxy; a composite one does it better and is not in Istio's own. Both, and the agent's host list, are measured in filters/lane-fallback/README.md.
 */

const TYPE = 'type.googleapis.com/envoy.extensions';
const CONNECT_TIMEOUT_MS = 1_000;

type Context = 'SIDECAR_OUTBOUND' | 'GATEWAY';

/** For the sidecars: everything about calls to one service. */
export function serviceFilter(mesh: Mesh, service: Service, istio: IstioOptions): Resource {
  const routes = laneRoutes(mesh, service, '');
  return envoyFilter(`causeway-lanes-${service.name}`, istio.namespace, [
    ...clusterPatches(mesh, service, istio, routes, 'SIDECAR_OUTBOUND'),
    ...routePatches(mesh, service, istio, routes, 'SIDECAR_OUTBOUND'),
  ]);
}

/** For a gateway: the same of the services that it leads to. */
export function gatewayLaneFilter(mesh: Mesh, gateway: Gateway, istio: IstioOptions): Resource {
  const services = mesh.services.filter(({ name }) => gateway.routes.some(({ service }) => service === name));
  const patches = services.flatMap((service) => {
    const routes = gateway.routes.flatMap((route, position) =>
      route.service === service.name ? gatewayRoutes(mesh, gateway, service, position) : [],
    );
    return [
      ...clusterPatches(mesh, service, istio, routes, 'GATEWAY'),
      ...routePatches(mesh, service, istio, routes, 'GATEWAY'),
    ];
  });
  return envoyFilter(`causeway-lanes-${gateway.id}`, istio.gatewayNamespace, patches, istio.gatewaySelector);
}

/** Name of the cluster of a chain; the default chain has none. */
function chainCluster(service: Service, token: string, istio: IstioOptions): string {
  return `causeway|${service.port}|${token}|${hostOf(service, istio)}`;
}

function subsetCluster(service: Service, subset: string, istio: IstioOptions): string {
  return `outbound|${service.port}|${subset}|${hostOf(service, istio)}`;
}

function clusterPatches(
  mesh: Mesh,
  service: Service,
  istio: IstioOptions,
  routes: readonly LaneRoute[],
  context: Context,
): Patch[] {
  const chains = new Map(routes.flatMap(({ chain }) => (chain ? [[chain.token, chain]] : [])));
  return [...chains.values()].map((chain) => ({
    applyTo: 'CLUSTER',
    match: { context },
    patch: {
      operation: 'ADD',
      value: {
        name: chainCluster(service, chain.token, istio),
        alt_stat_name: `causeway_${service.name}_${chain.label}`,
        connect_timeout: seconds(CONNECT_TIMEOUT_MS),
        lb_policy: 'CLUSTER_PROVIDED',
        cluster_type: clusterType(
          istio.fallback,
          memberSubsets(mesh, chain).map((subset) => subsetCluster(service, subset, istio)),
        ),
        circuit_breakers: { thresholds: [{ max_retries: MAX_RETRIES }] },
      },
    },
  }));
}

/** `members` by try; an aggregate cluster takes each once, as a priority. */
function clusterType(kind: IstioOptions['fallback'], members: readonly string[]): JsonObject {
  const clusters = kind === 'aggregate' ? [...new Set(members)] : members.map((name) => ({ name }));
  return {
    name: `envoy.clusters.${kind}`,
    typed_config: { '@type': `${TYPE}.clusters.${kind}.v3.ClusterConfig`, clusters },
  };
}

/** Has each try of an aggregate cluster go to the next priority; a composite cluster does so by itself. */
const NEXT_PRIORITY: JsonObject = {
  retry_priority: {
    name: 'envoy.retry_priorities.previous_priorities',
    typed_config: {
      '@type': `${TYPE}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig`,
      update_frequency: 1,
    },
  },
};

/** Concurrent retries of one service from one proxy; Envoy's default of three would turn fallback off under load. */
const MAX_RETRIES = 204;

/** Gives routes their chains' clusters, and the retry condition that a VirtualService has no words for. */
function routePatches(
  mesh: Mesh,
  service: Service,
  istio: IstioOptions,
  routes: readonly LaneRoute[],
  context: Context,
): Patch[] {
  return routes.map(({ name, chain }) => ({
    applyTo: 'HTTP_ROUTE',
    match: { context, routeConfiguration: { vhost: { route: { name } } } },
    patch: {
      operation: 'MERGE',
      value: {
        route: {
          ...(chain === null ? {} : { cluster: chainCluster(service, chain.token, istio) }),
          retry_policy: {
            num_retries: triesOf(mesh, chain) - 1,
            retriable_headers: NEVER_SEEN_HEADERS.map((name) => ({ name, string_match: { exact: '1' } })),
            retry_back_off: { base_interval: '0.002s', max_interval: '0.02s' },
            ...(chain !== null && istio.fallback === 'aggregate' ? NEXT_PRIORITY : {}),
          },
        },
      },
    },
  }));
}
