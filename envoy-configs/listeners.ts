import { accessFilters } from './access.ts';
import { clusterLimitPlace } from './cluster-limits.ts';
import { socketAddress } from './clusters.ts';
import {
  earlyStrip,
  faultFilter,
  type HttpFilter,
  routerFilter,
  routerPlace,
  stripAnswersFilter,
  wasmPlace,
} from './filters.ts';
import { controlAddress, controlPorts } from './isolation.ts';
import { applicationRoute, fallbackBridge, laneAccessLog, TIMEOUT_MS, unreachedReply } from './lane-routing.ts';
import type { Gateway, Instance, JsonObject, Mesh, Service } from './mesh.ts';
import type { ChainRole, Place } from './rendered.ts';
import { APPLICATION } from './routes.ts';
import { downstreamSocket, type TlsContext } from './tls.ts';
import { fileSource, PATHS } from './xds.ts';

/**
 * Listeners of a gateway and of a sidecar, in Envoy v3 JSON. What lanes, rules and services change comes by RDS and ECDS
 * and works on the next request; a changed listener would go on serving its old connections as before. So listeners depend
 * on little: addresses, trust, tracing.
 */

export type Listener = JsonObject & { readonly name: string };

/** What a proxy needs beside the mesh to have its listeners built. */
export interface ListenerContext {
  readonly mesh: Mesh;
  /** Directory of the node's files. */
  readonly dir: string;
  readonly accessLog: string;
  /** Null in a mesh without TLS. */
  readonly tls: TlsContext | null;
}

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** Whose request it is comes from the connection, the request id from us, odd paths are made plain. */
export const EDGE: JsonObject = {
  use_remote_address: true,
  preserve_external_request_id: false,
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT',
  common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' },
};

/** As Istio has it: refusing is an application's business. */
const WEB_SOCKETS: readonly JsonObject[] = [{ upgrade_type: 'websocket' }];

/**
 * The edge. Where tags of some addresses are believed, those get a filter chain of their own: everybody else's chain
 * removes the tag by stock means too.
 */
export function gatewayListener(context: ListenerContext, gateway: Gateway): Listener {
  const { trust } = gateway;
  const cidrs = typeof trust === 'object' ? trust.cidrs : [];
  // An identity is known only inside a connection; lane-tagging alone judges it.
  const stripTag = trust === 'none' || (typeof trust === 'object' && trust.identities.length === 0);
  const everybody = { name: 'everybody', filters: [edgeManager(context, gateway, stripTag)] };
  const trusted = {
    name: 'trusted',
    filter_chain_match: { source_prefix_ranges: cidrs.map(prefixRange) },
    filters: [edgeManager(context, gateway, false)],
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

function edgeManager(context: ListenerContext, gateway: Gateway, stripTag: boolean): JsonObject {
  const sheds = context.mesh.services.some(({ overload }) => overload !== null);
  const filters = [
    stripAnswersFilter(gateway.exposeLane),
    wasmPlace('gateway', context.dir),
    fallbackBridge(sheds),
    routerPlace('gateway', context.dir),
  ];
  return connectionManager(context, 'gateway', filters, {
    ...earlyStrip('gateway', stripTag ? context.mesh.tagHeader : undefined),
    ...EDGE,
    // Envoy 1.40 counts nobody as internal without it; stated, because everything above relies on it.
    internal_address_config: { unix_sockets: false },
  });
}

/** Calls that arrive for the application. */
export function inboundListener(context: ListenerContext, service: Service, instance: Instance): Listener {
  const filters = [
    faultFilter(),
    ...accessFilters(context.mesh, service),
    wasmPlace('inbound', context.dir),
    // Behind the limits of the instance, which cost no call.
    ...clusterLimitPlace(context.mesh, context.dir),
    routerFilter(),
  ];
  const manager = connectionManager(context, 'inbound', filters, {
    ...earlyStrip('inbound'),
    local_reply_config: unreachedReply(),
  });
  return {
    name: 'inbound',
    address: socketAddress(instance.address, instance.ports.inbound),
    traffic_direction: 'INBOUND',
    ...inboundChains(context.tls, service, instance, manager),
  };
}

/** Permissive: a connection that begins with a TLS hello gets the TLS chain, any other one the plain chain. */
export function inboundChains(
  tls: TlsContext | null,
  service: Service,
  instance: Instance,
  manager: JsonObject,
): JsonObject {
  if (tls === null || service.tls === null || !instance.tlsReady) return { filter_chains: [{ filters: [manager] }] };
  const plain = {
    name: 'plain',
    filter_chain_match: { transport_protocol: 'raw_buffer' },
    filters: [manager],
  };
  const encrypted = {
    name: 'tls',
    filter_chain_match: { transport_protocol: 'tls' },
    transport_socket: downstreamSocket(service, tls),
    filters: [manager],
  };
  return {
    listener_filters: [
      {
        name: 'envoy.filters.listener.tls_inspector',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
        },
      },
    ],
    // A connection made in advance says nothing for a while; it is plain until it says otherwise.
    continue_on_listener_filters_timeout: true,
    filter_chains: service.tls.acceptsPlain ? [encrypted, plain] : [encrypted],
  };
}

/** Calls that the application makes, naming the callee in `Host`. */
export function outboundListener(context: ListenerContext, instance: Instance): Listener {
  const filters = [wasmPlace('outbound', context.dir), fallbackBridge(), routerPlace('outbound', context.dir)];
  return {
    name: 'outbound',
    address: socketAddress(instance.address, instance.ports.outbound),
    traffic_direction: 'OUTBOUND',
    filter_chains: [
      {
        filters: [
          // An id made up here would hide that the application lost its trace; the callee's sidecar makes one.
          connectionManager(context, 'outbound', filters, { ...earlyStrip('outbound'), generate_request_id: false }),
        ],
      },
    ],
  };
}

/** On loopback: orders to the instance itself; everything else goes to the application, isolated or not. */
export function controlListener(context: ListenerContext, instance: Instance): Listener {
  const manager = {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': HCM,
      stat_prefix: 'control',
      ...earlyStrip('inbound'),
      access_log: [accessLog(context, 'control', laneAccessLog(context.mesh.tagHeader))],
      http_filters: [wasmPlace('control', context.dir), routerFilter()],
      route_config: {
        name: 'control',
        virtual_hosts: [{ name: 'application', domains: ['*'], routes: [applicationRoute(APPLICATION, TIMEOUT_MS)] }],
      },
    },
  };
  const [address = {}, ...others] = controlPorts(context.mesh, instance).map((port) =>
    socketAddress(controlAddress(instance), port),
  );
  return {
    name: 'control',
    address,
    ...(others.length === 0 ? {} : { additional_addresses: others.map((other) => ({ address: other })) }),
    traffic_direction: 'INBOUND',
    filter_chains: [{ filters: [manager] }],
  };
}

/** What every chain of a role has; a router is the last of its `filters`, `lanes` are fields of its access log. */
export function connectionManager(
  context: ListenerContext,
  role: ChainRole,
  filters: readonly HttpFilter[],
  fields: JsonObject,
  lanes: Readonly<Record<string, string>> = laneAccessLog(context.mesh.tagHeader),
): JsonObject {
  const { mesh, dir } = context;
  const sampling = role === 'outbound' ? mesh.tracing.outbound : mesh.tracing.inbound;
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': HCM,
      stat_prefix: role,
      ...(sampling === null ? {} : { tracing: { random_sampling: { value: sampling } } }),
      ...fields,
      upgrade_configs: WEB_SOCKETS,
      access_log: [accessLog(context, role, lanes)],
      http_filters: filters,
      rds: { route_config_name: role, config_source: fileSource(dir, PATHS.routes(role)) },
    },
  };
}

/** One JSON line per request, with the lanes that the filters claim: evidence beside metrics and response headers. */
function accessLog(context: ListenerContext, role: Place, lanes: Readonly<Record<string, string>>): JsonObject {
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
    ...lanes,
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
