import { socketAddress } from '../clusters.ts';
import type { JsonObject } from '../mesh.ts';

/** A proxy whose statistics Prometheus is to have. */
export interface ScrapedNode {
  readonly id: string;
  readonly adminSocket: string;
}

/** Where {@link statsProxy} listens. */
export const STATS_PORT = 15_090;

const TYPE = 'type.googleapis.com/envoy.extensions.filters';

/**
 * An Envoy that hands the statistics of others out: admin interfaces are Unix sockets, which Prometheus cannot ask. One exact
 * path for each, by GET, leads to its statistics and to nothing else of its admin.
 */
export function statsProxy(address: string, nodes: readonly ScrapedNode[]): JsonObject {
  return {
    static_resources: {
      listeners: [
        {
          name: 'statistics',
          address: socketAddress(address, STATS_PORT),
          filter_chains: [{ filters: [manager(nodes)] }],
        },
      ],
      clusters: nodes.map(({ id, adminSocket }) => ({
        name: id,
        type: 'STATIC',
        connect_timeout: '1s',
        load_assignment: {
          cluster_name: id,
          endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: adminSocket } } } }] }],
        },
      })),
    },
  };
}

function manager(nodes: readonly ScrapedNode[]): JsonObject {
  const routes = nodes.map(({ id }) => ({
    match: { path: statsPath(id), headers: [{ name: ':method', string_match: { exact: 'GET' } }] },
    route: { cluster: id, prefix_rewrite: '/stats/prometheus', timeout: '4s' },
  }));
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'statistics',
      normalize_path: true,
      route_config: { virtual_hosts: [{ name: 'statistics', domains: ['*'], routes }] },
      http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPE}.http.router.v3.Router` } }],
    },
  };
}

export const statsPath = (id: string): string => `/${id}`;
