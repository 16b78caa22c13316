/** Envoy's configuration for the flood: one sidecar, its application in this process, a service that Envoy itself plays. */

const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const STRING = 'type.googleapis.com/google.protobuf.StringValue';

/** Host of the requests that the application answers; all others are answered by Envoy. */
export const HONEST_HOST = 'honest';
/** Response header of the service: the tag that it got. */
export const SENT_TAG = 'x-sent-tag';
/** Request header that makes Envoy hold a request open for so many milliseconds. */
export const HOLD = 'x-envoy-fault-delay-request';

export interface FloodOptions {
  readonly module: string;
  readonly adminSocket: string;
  /** Size of the trace map. */
  readonly entries: number;
  /** Port of the application. */
  readonly appPort: number;
}

/** The bootstrap as JSON (which is YAML): listeners `inbound` and `outbound` on ports of the kernel's choice. */
export function floodBootstrap(options: FloodOptions): string {
  const answer = { match: { prefix: '/' }, direct_response: { status: 200 } };
  const sentTag = { header: { key: SENT_TAG, value: '%REQ(x-asm-traffic-lane)%' } };
  const app = { match: { prefix: '/' }, route: { cluster: 'app', timeout: '60s' } };
  const inbound = listener('inbound', options, [
    { name: 'honest', domains: [HONEST_HOST], routes: [app] },
    { name: 'flood', domains: ['*'], routes: [answer] },
  ]);
  const outbound = listener('outbound', options, [
    { name: 'service', domains: ['*'], routes: [{ ...answer, response_headers_to_add: [sentTag] }] },
  ]);
  return JSON.stringify({
    admin: { address: { pipe: { path: options.adminSocket } } },
    node: { id: 'flood', cluster: 'flood' },
    static_resources: { listeners: [inbound, outbound], clusters: [cluster('app', options.appPort)] },
  });
}

function listener(direction: 'inbound' | 'outbound', options: FloodOptions, hosts: object[]): object {
  const manager = {
    '@type': HCM,
    stat_prefix: direction,
    generate_request_id: false,
    preserve_external_request_id: true,
    route_config: { virtual_hosts: hosts },
    http_filters: [
      wasm(direction, options),
      {
        name: 'envoy.filters.http.fault',
        typed_config: {
          '@type': `${HTTP}.fault.v3.HTTPFault`,
          delay: { header_delay: {}, percentage: { numerator: 100 } },
        },
      },
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${HTTP}.router.v3.Router` } },
    ],
  };
  return {
    name: direction,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}

function wasm(direction: string, options: FloodOptions): object {
  const configuration = JSON.stringify({ direction, entries: options.entries });
  return {
    name: 'envoy.filters.http.wasm',
    typed_config: {
      '@type': `${HTTP}.wasm.v3.Wasm`,
      config: {
        name: 'trace-propagation',
        root_id: 'trace-propagation',
        failure_policy: 'FAIL_RELOAD',
        configuration: { '@type': STRING, value: configuration },
        vm_config: {
          vm_id: 'causeway',
          runtime: 'envoy.wasm.runtime.v8',
          code: { local: { filename: options.module } },
          configuration: { '@type': STRING, value: direction },
        },
      },
    },
  };
}

function cluster(name: string, port: number): object {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '15s',
    circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}
