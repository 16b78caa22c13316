/** Envoy configuration of the rig, in its JSON form: only what the cases need, so that they differ in their filters alone. */

/** One HTTP filter of a chain, or fields of the connection manager that belong to the case, such as its early removals. */
export type HttpFilter = Readonly<Record<string, unknown>>;

/** A listener of the rig: one filter chain in front of some routes. */
export interface Listener {
  name: string;
  port: number;
  filters: readonly HttpFilter[];
  routes: readonly object[];
}

/** The rig's own loopback address: nothing else of the project listens there. */
export const ADDRESS = '127.0.77.1';

const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

export function socketAddress(port: number, address = ADDRESS): object {
  return { socket_address: { address, port_value: port } };
}

/** Envoy's JSON for a rig listener. */
export function listener(spec: Listener, address = ADDRESS): object {
  const router = { name: 'envoy.filters.http.router', typed_config: { '@type': `${HTTP}.router.v3.Router` } };
  const manager = {
    '@type': HCM,
    stat_prefix: spec.name,
    generate_request_id: false,
    route_config: { name: spec.name, virtual_hosts: [{ name: spec.name, domains: ['*'], routes: spec.routes }] },
    ...Object.assign({}, ...spec.filters.filter((part) => part.name === undefined)),
    http_filters: [...spec.filters.filter((part) => part.name !== undefined), router],
  };
  return {
    name: spec.name,
    address: socketAddress(spec.port, address),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}

/** The route of a proxy without lanes. */
export function plainRoute(cluster: string): object {
  return { match: { prefix: '/' }, route: { cluster, timeout: '15s' } };
}

/** Response headers of the upstream: the tag that arrived, and the address it was called by. */
export const SEEN = { tag: 'x-seen-tag', address: 'x-seen-address' } as const;

/**
 * Answers 200 by itself, on every loopback address: the upstream of every case, cheaper than what is measured. What it saw
 * is in its answer, so that a case can be checked to do its work before it is measured.
 */
export function answeringListener(port: number, tagHeader: string): object {
  const seen = (key: string, value: string) => ({ header: { key, value } });
  const route = {
    match: { prefix: '/' },
    direct_response: { status: 200, body: { inline_string: '{"id":"reviews-base-1","rating":5}\n' } },
    response_headers_to_add: [
      seen(SEEN.tag, `%REQ(${tagHeader})%`),
      seen(SEEN.address, '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%'),
    ],
  };
  return listener({ name: 'upstream', port, filters: [], routes: [route] }, '0.0.0.0');
}

/** A static cluster without lanes. */
export function plainCluster(name: string, port: number, addresses: readonly string[] = [ADDRESS]): object {
  const hosts = addresses.map((address) => ({ endpoint: { address: socketAddress(port, address) } }));
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: hosts }] },
  };
}

export interface WasmOptions {
  /** Absolute path of the module. */
  file: string;
  rootId: string;
  vmId: string;
  role: string;
  configuration: object;
}

function text(value: string): object {
  return { '@type': 'type.googleapis.com/google.protobuf.StringValue', value };
}

/** Envoy's wasm filter with one of our modules, or a peer's. */
export function wasmFilter(options: WasmOptions): HttpFilter {
  return {
    name: 'envoy.filters.http.wasm',
    typed_config: {
      '@type': `${HTTP}.wasm.v3.Wasm`,
      config: {
        name: options.rootId,
        root_id: options.rootId,
        failure_policy: 'FAIL_RELOAD',
        // A Struct would reach the module in binary form.
        configuration: text(JSON.stringify(options.configuration)),
        vm_config: {
          vm_id: options.vmId,
          runtime: 'envoy.wasm.runtime.v8',
          code: { local: { filename: options.file } },
          configuration: text(options.role),
        },
      },
    },
  };
}

/** Stock Lua filter with an inline script. */
export function luaFilter(source: string): HttpFilter {
  const typed = { '@type': `${HTTP}.lua.v3.Lua`, default_source_code: { inline_string: source } };
  return { name: 'envoy.filters.http.lua', typed_config: typed };
}

/** A bootstrap without its admin section. */
export function bootstrap(listeners: readonly object[], clusters: readonly object[]): object {
  return { node: { id: 'bench', cluster: 'bench' }, static_resources: { listeners, clusters } };
}
