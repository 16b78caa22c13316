import type { TwinOptions } from './twin.ts';

const FAILURE_POLICY = { closed: 'FAIL_CLOSED', open: 'FAIL_OPEN', reload: 'FAIL_RELOAD' } as const;

/** Bootstrap (JSON is YAML): the HTTP plugin, then the router to the cluster `app`. */
export function twinBootstrap(
  options: TwinOptions,
  adminSocket: string,
  ports: Readonly<Record<string, number>>,
): string {
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'twin',
    http_protocol_options: { enable_trailers: true },
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] }],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.wasm',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
          config: plugin(options),
        },
      },
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  };
  return bootstrap(adminSocket, ports, [
    { name: 'envoy.filters.network.http_connection_manager', typed_config: manager },
  ]);
}

/** Bootstrap: the network plugin, then a proxy to the cluster `app`. */
export function tcpBootstrap(options: TwinOptions, adminSocket: string, port: number): string {
  return bootstrap(adminSocket, { app: port }, [
    {
      name: 'envoy.filters.network.wasm',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm',
        config: plugin(options),
      },
    },
    {
      name: 'envoy.filters.network.tcp_proxy',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
        stat_prefix: 'twin',
        cluster: 'app',
      },
    },
  ]);
}

function plugin(options: TwinOptions): unknown {
  const { configuration } = options;
  const text = typeof configuration === 'string' ? configuration : JSON.stringify(configuration);
  return {
    name: 'twin',
    root_id: options.rootId,
    ...(configuration === undefined ? {} : { configuration: stringValue(text) }),
    failure_policy: FAILURE_POLICY[options.failurePolicy ?? 'closed'],
    vm_config: {
      vm_id: 'twins',
      runtime: 'envoy.wasm.runtime.v8',
      code: { local: { filename: options.module } },
      configuration: stringValue(options.vmConfiguration ?? ''),
    },
  };
}

function stringValue(value: string): unknown {
  return { '@type': 'type.googleapis.com/google.protobuf.StringValue', value };
}

function bootstrap(adminSocket: string, ports: Readonly<Record<string, number>>, filters: readonly unknown[]): string {
  return JSON.stringify({
    admin: { address: { pipe: { path: adminSocket } } },
    node: { id: 'twin', cluster: 'twin' },
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [{ filters }],
        },
      ],
      clusters: Object.entries(ports).map(([name, port]) => cluster(name, port)),
    },
  });
}

function cluster(name: string, port: number): unknown {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http_protocol_options: { enable_trailers: true } },
      },
    },
  };
}
