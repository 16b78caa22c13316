import { type LaneScheme, socketAddress } from './clusters.ts';
import { faultFilter, type HttpFilter, routerFilter, stripFilter, wasmPlace } from './filters.ts';
import {
  applicationRoute,
  fallbackBridge,
  laneAccessLog,
  type Route,
  redirectRoutes,
  serviceRoutes,
  unreachedReply,
} from './lane-routing.ts';
import {
  authorities,
  type Gateway,
  type Instance,
  type JsonObject,
  type Mesh,
  type Role,
  type Service,
} from './mesh.ts';

/** Listeners of a gateway and of a sidecar, in Envoy v3 JSON. */

export type Listener = JsonObject & { readonly name: string };

/** What a proxy needs beside the mesh to have its listeners built. */
export interface ListenerContext {
  readonly mesh: Mesh;
  readonly scheme: LaneScheme;
  /** Directory of the node's files. */
  readonly dir: string;
  readonly accessLog: string;
  /** Roles whose wasm filter has at least one section; the others get none. */
  readonly plugins: ReadonlySet<Role>;
}

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** Name of the cluster that is the local application; no service can be called like it. */
export const APPLICATION = 'causeway.application';

/** Names of services are DNS labels, so this host name can only come from a request. */
const NO_SUCH_SERVICE: Route = {
  match: { prefix: '/' },
  direct_response: { status: 404, body: { inline_string: 'causeway: no such service in this mesh\n' } },
};

/**
 * The edge. Where tags of some addresses are believed, those get a filter chain of their own: everybody else's chain
 * removes the tag by stock means too.
 */
export function gatewayListener(context: ListenerContext, gateway: Gateway): Listener {
  const { trust } = gateway;
  const cidrs = typeof trust === 'object' ? trust.cidrs : [];
  // An identity is known only inside a connection; lane-tagging alone judges it.
  const stripTag = trust === 'none' || (typeof trust === 'object' && trust.identities.length === 0);
  const everybody = gatewayChain(context, gateway, stripTag);
  const trusted = {
    ...gatewayChain(context, gateway, false),
    name: 'trusted',
    filter_chain_match: { source_prefix_ranges: cidrs.map(prefixRange) },
  };
  return {
    name: gateway.id,
    address: socketAddress(gateway.address, gateway.port),
    traffic_direction: 'INBOUND',
    filter_chains: stripTag && cidrs.length > 0 ? [trusted, everybody] : [everybody],
  };
}

function prefixRange(cidr: string): JsonObject {
  const [address = '', bits] = cidr.split('/');
  return { address_prefix: address, prefix_len: Number(bits ?? (address.includes(':') ? 128 : 32)) };
}

function gatewayChain(context: ListenerContext, gateway: Gateway, stripTag: boolean): JsonObject {
  const { mesh } = context;
  const report = gateway.exposeLane ? { report: { tagHeader: mesh.tagHeader, baseline: mesh.baseline } } : {};
  const routes = gateway.routes.flatMap(({ pathPrefix, service }) =>
    serviceRoutes(serviceOf(mesh, service), context.scheme, {
      prefix: pathPrefix,
      edge: !gateway.exposeLane,
      ...report,
    }),
  );
  return {
    name: 'everybody',
    filters: [
      connectionManager(context, 'gateway', {
        filters: [
          stripFilter('gateway', { ...(stripTag ? { tag: mesh.tagHeader } : {}), expose: gateway.exposeLane }),
          ...wasm(context, 'gateway'),
          ...bridge(context),
        ],
        virtualHosts: [{ name: 'everything', domains: ['*'], routes }],
        // The edge: whose request it is comes from the connection, the request id from us, odd paths are made plain.
        edge: {
          use_remote_address: true,
          preserve_external_request_id: false,
          normalize_path: true,
          merge_slashes: true,
          path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT',
          // Without it Envoy 1.40 counts nobody as internal; stated, because everything above relies on it.
          internal_address_config: { unix_sockets: false },
          common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' },
        },
      }),
    ],
  };
}

/** Calls that arrive for the application. */
export function inboundListener(context: ListenerContext, service: Service, instance: Instance): Listener {
  const { mesh } = context;
  const faults = mesh.faults.filter((fault) => fault.services.length === 0 || fault.services.includes(service.name));
  const routes = [...redirectRoutes(service.name, redirectUnits(mesh, instance)), applicationRoute(APPLICATION)];
  return {
    name: 'inbound',
    address: socketAddress(instance.address, instance.ports.inbound),
    traffic_direction: 'INBOUND',
    filter_chains: [
      {
        filters: [
          connectionManager(context, 'inbound', {
            filters: [
              stripFilter('inbound'),
              ...faults.map((fault) => faultFilter(fault, mesh.tagHeader)),
              ...wasm(context, 'inbound'),
            ],
            virtualHosts: [{ name: 'application', domains: ['*'], routes }],
            edge: { local_reply_config: unreachedReply() },
          }),
        ],
      },
    ],
  };
}

/** Units to which an instance's own sidecar may forward. */
export function redirectUnits(mesh: Mesh, instance: Instance): readonly string[] {
  const rules = mesh.redirects.filter(
    (rule) => rule.service === instance.service && rule.fromLanes.includes(instance.lane),
  );
  return [...new Set(rules.map((rule) => rule.to))];
}

/** Calls that the application makes, naming the callee in `Host`. */
export function outboundListener(context: ListenerContext, instance: Instance, callees: readonly Service[]): Listener {
  const { mesh, scheme } = context;
  const report = mesh.report ? { report: { tagHeader: mesh.tagHeader, baseline: mesh.baseline } } : {};
  return {
    name: 'outbound',
    address: socketAddress(instance.address, instance.ports.outbound),
    traffic_direction: 'OUTBOUND',
    filter_chains: [
      {
        filters: [
          connectionManager(context, 'outbound', {
            filters: [stripFilter('outbound'), ...wasm(context, 'outbound'), ...bridge(context)],
            virtualHosts: [
              ...callees.map((service) => ({
                name: service.name,
                domains: authorities(service),
                routes: serviceRoutes(service, scheme, report),
              })),
              { name: 'nobody', domains: ['*'], routes: [NO_SUCH_SERVICE] },
            ],
            // An id made up here would hide that the application lost its trace; the callee's sidecar makes one.
            edge: { generate_request_id: false },
          }),
        ],
      },
    ],
  };
}

function serviceOf(mesh: Mesh, name: string): Service {
  const service = mesh.services.find((candidate) => candidate.name === name);
  if (!service) throw new Error(`no service ${name} in mesh ${mesh.name}`);
  return service;
}

function wasm(context: ListenerContext, role: Role): HttpFilter[] {
  return context.plugins.has(role) ? [wasmPlace(role, context.dir)] : [];
}

function bridge(context: ListenerContext): HttpFilter[] {
  return context.mesh.filters['lane-fallback'].enabled ? [fallbackBridge()] : [];
}

interface ManagerParts {
  readonly filters: readonly HttpFilter[];
  readonly virtualHosts: readonly JsonObject[];
  /** Fields that differ by role. */
  readonly edge: JsonObject;
}

function connectionManager(context: ListenerContext, role: Role, parts: ManagerParts): JsonObject {
  const { mesh } = context;
  const sampling = role === 'outbound' ? mesh.tracing.outbound : mesh.tracing.inbound;
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': HCM,
      stat_prefix: role,
      ...(sampling === null ? {} : { tracing: { random_sampling: { value: sampling } } }),
      ...parts.edge,
      access_log: [accessLog(context, role)],
      http_filters: [...parts.filters, routerFilter()],
      route_config: {
        name: role,
        // Clusters come by a subscription of their own; a route may be there a moment before its cluster.
        validate_clusters: false,
        virtual_hosts: parts.virtualHosts,
      },
    },
  };
}

/** One JSON line per request, with the lanes that the filters claim: evidence beside metrics and response headers. */
function accessLog(context: ListenerContext, role: Role): JsonObject {
  const fields = {
    time: '%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%',
    role,
    trace: '%REQ(X-REQUEST-ID)%',
    method: '%REQ(:METHOD)%',
    host: '%REQ(:AUTHORITY)%',
    path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    status: '%RESPONSE_CODE%',
    flags: '%RESPONSE_FLAGS%',
    details: '%RESPONSE_CODE_DETAILS%',
    upstream: '%UPSTREAM_HOST%',
    peer: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
    ms: '%DURATION%',
    ...laneAccessLog(context.mesh.tagHeader),
  };
  return {
    name: 'envoy.access_loggers.file',
    // Health checks would drown the rest. By their user agent: Envoy's own mark for them needs another filter.
    filter: {
      header_filter: {
        header: {
          name: 'user-agent',
          string_match: { exact: 'Envoy/HC' },
          invert_match: true,
          treat_missing_header_as_empty: true,
        },
      },
    },
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
      path: context.accessLog,
      log_format: { json_format: fields },
    },
  };
}
