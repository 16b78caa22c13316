import { SERVED_LANE } from '../../filters/headers.ts';
import { earlyStrip, type HttpFilter, pluginName, stripAnswersFilter, wasmExtension, wasmType } from '../filters.ts';
import { APPLICATION_HEADERS, SHED_TO_METADATA, unreachedReply } from '../lane-routing.ts';
import type { Gateway, JsonObject, Mesh } from '../mesh.ts';
import type { Fault } from '../mesh-traffic.ts';
import type { ChainRole } from '../rendered.ts';
import { envoyFilter, type Patch } from './envoy-filter.ts';
import type { Resource } from './kube.ts';
import type { IstioOptions, ModuleReference } from './options.ts';

/** What stands in the chains of Istio's listeners: the wasm filter by ECDS, and the stock filters around it. */

export const CONTEXTS = { gateway: 'GATEWAY', inbound: 'SIDECAR_INBOUND', outbound: 'SIDECAR_OUTBOUND' } as const;

const MANAGER = 'envoy.filters.network.http_connection_manager';
const MANAGER_TYPE = `type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const ROUTER = 'envoy.filters.http.router';
const TYPE = 'type.googleapis.com/envoy.extensions';

/** Where lane-fallback reads who served; written by {@link servedLaneFilter}. */
export const SERVED_PROPERTY = 'metadata.filter_metadata.causeway.lane';

/** Patches of one role's chains. `sections` is the plugin's configuration; without any the wasm filter is left out. */
export function rolePatches(role: ChainRole, sections: JsonObject, istio: IstioOptions, wasm: boolean): Patch[] {
  if (!wasm || Object.keys(sections).length === 0) return [];
  const name = pluginName(role);
  return [
    {
      applyTo: 'EXTENSION_CONFIG',
      match: { context: CONTEXTS[role] },
      patch: { operation: 'ADD', value: withModule(wasmExtension(role, '', sections), istio.module) },
    },
    insertBeforeRouter(role, {
      name,
      config_discovery: {
        // A proxy without its module is not ready, and so gets no traffic: by default Envoy would go on without it after 15 s.
        config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
        type_urls: [wasmType()],
      },
    }),
  ];
}

/** The wasm extension with its code by reference: istio-agent fetches what is remote and checks it before Envoy sees it. */
function withModule(extension: JsonObject, module: ModuleReference): JsonObject {
  const code = module.url.startsWith('file://')
    ? { local: { filename: module.url.slice('file://'.length) } }
    : { remote: { http_uri: { uri: module.url, cluster: '_', timeout: '30s' }, sha256: module.sha256 } };
  return JSON.parse(JSON.stringify(extension), (key, value: unknown) => (key === 'code' ? code : value)) as JsonObject;
}

/** The whole of the filters of an edge. */
export function gatewayFilter(
  mesh: Mesh,
  gateway: Gateway,
  sections: JsonObject,
  istio: IstioOptions,
  wasm: boolean,
): Resource {
  const { trust } = gateway;
  const judged = sections['lane-tagging'] !== undefined;
  const patches = [
    // Istio gives a gateway one chain for everybody: whose tag is believed only lane-tagging can tell. Without it, nobody's.
    managerPatch('gateway', {
      ...earlyStrip('gateway', trust === 'none' || (trust !== 'all' && !judged) ? mesh.tagHeader : undefined),
      // Istio's default is to keep an outsider's id only when told so; stated, because sticky shares rely on it.
      preserve_external_request_id: false,
      common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' },
      ...tracing(mesh.tracing.inbound),
    }),
    insertFirst('gateway', stripAnswersFilter(gateway.exposeLane)),
    ...rolePatches('gateway', sections, istio, wasm),
    insertBeforeRouter('gateway', servedLaneFilter([SHED_TO_METADATA])),
  ];
  return envoyFilter(`causeway-${gateway.id}`, istio.gatewayNamespace, patches, istio.gatewaySelector);
}

/** One role of the sidecars; `selector` where not all sidecars have the same. */
export function sidecarFilter(
  mesh: Mesh,
  role: 'inbound' | 'outbound',
  name: string,
  sections: JsonObject,
  istio: IstioOptions,
  wasm: boolean,
  selector?: Readonly<Record<string, string>>,
): Resource {
  const fields: JsonObject =
    role === 'inbound'
      ? { ...earlyStrip(role), local_reply_config: unreachedReply() }
      : { ...earlyStrip(role), generate_request_id: false };
  const sampling = tracing(mesh.tracing[role]);
  const patches = [
    managerPatch(role, { ...fields, ...sampling }),
    ...rolePatches(role, sections, istio, wasm),
    role === 'outbound' ? insertBeforeRouter(role, servedLaneFilter()) : APPLICATION_ROUTE,
  ];
  return envoyFilter(name, istio.namespace, patches, selector);
}

/** Every inbound route leads to the application. */
const APPLICATION_ROUTE: Patch = {
  applyTo: 'HTTP_ROUTE',
  match: { context: 'SIDECAR_INBOUND' },
  patch: { operation: 'MERGE', value: APPLICATION_HEADERS },
};

function tracing(percent: number | null): JsonObject {
  return percent === null ? {} : { tracing: { random_sampling: { value: percent } } };
}

/** A fault drill at the inbound side of one service: Envoy's own fault filter, for the requests of one lane. */
export function faultFilters(mesh: Mesh, faults: readonly Fault[], name: string, istio: IstioOptions): Resource {
  const patches = faults.map((fault) => {
    const percentage = { numerator: Math.round(fault.percent * 10_000), denominator: 'MILLION' };
    return insertFirst('inbound', {
      name: `causeway.fault.${fault.name}`,
      typed_config: {
        '@type': `${TYPE}.filters.http.fault.v3.HTTPFault`,
        headers: [{ name: mesh.tagHeader, string_match: { exact: fault.lane } }],
        ...(fault.abortStatus === 0 ? {} : { abort: { http_status: fault.abortStatus, percentage } }),
        ...(fault.delayMs === 0 ? {} : { delay: { fixed_delay: `${fault.delayMs / 1000}s`, percentage } }),
      },
    });
  });
  return envoyFilter(`causeway-faults-${name}`, istio.namespace, patches, { [istio.appLabel]: name });
}

/**
 * The lane that serves, said by the callee's sidecar: a composite cluster does not say which member answered, and Istio gives
 * endpoints no label that the caller could read. Overwritten on every answer, so no application can claim another lane.
 */
export function servedFilter(
  name: string,
  lane: string,
  labels: Readonly<Record<string, string>>,
  istio: IstioOptions,
): Resource {
  const mark = insertFirst('inbound', {
    name: 'causeway.served-lane',
    typed_config: {
      '@type': `${TYPE}.filters.http.header_mutation.v3.HeaderMutation`,
      mutations: {
        response_mutations: [
          { append: { header: { key: SERVED_LANE, value: lane }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } },
        ],
      },
    },
  });
  return envoyFilter(name, istio.namespace, [mark], labels);
}

/** Last before the router, so first to see the answer: keeps what the callee's sidecar says of its lane for log and filter. */
function servedLaneFilter(more: readonly JsonObject[] = []): HttpFilter {
  return {
    name: 'causeway.served-lane',
    typed_config: {
      '@type': `${TYPE}.filters.http.header_to_metadata.v3.Config`,
      response_rules: [
        { header: SERVED_LANE, on_header_present: { metadata_namespace: 'causeway', key: 'lane', type: 'STRING' } },
        ...more,
      ],
    },
  };
}

function insertBeforeRouter(role: ChainRole, filter: JsonObject): Patch {
  const subFilter = { name: ROUTER };
  return httpFilter(role, 'INSERT_BEFORE', filter, { name: MANAGER, subFilter });
}

function insertFirst(role: ChainRole, filter: JsonObject): Patch {
  return httpFilter(role, 'INSERT_FIRST', filter, { name: MANAGER });
}

function httpFilter(role: ChainRole, operation: string, value: JsonObject, filter: JsonObject): Patch {
  return {
    applyTo: 'HTTP_FILTER',
    match: { context: CONTEXTS[role], listener: { filterChain: { filter } } },
    patch: { operation, value },
  };
}

function managerPatch(role: ChainRole, fields: JsonObject): Patch {
  return {
    applyTo: 'NETWORK_FILTER',
    match: { context: CONTEXTS[role], listener: { filterChain: { filter: { name: MANAGER } } } },
    patch: { operation: 'MERGE', value: { typed_config: { '@type': MANAGER_TYPE, ...fields } } },
  };
}
