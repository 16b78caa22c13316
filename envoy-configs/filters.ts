import { SERVED_LANE, WANTED_LANE } from '../filters/headers.ts';
import { ENVOY_REQUEST_HEADERS, INTERNAL_HEADERS } from '../filters/internal-headers.ts';
import type { JsonObject } from './mesh.ts';
import type { Fault } from './mesh-traffic.ts';
import type { ChainRole, Place, Role } from './rendered.ts';
import { fileSource, PATHS } from './xds.ts';

/** HTTP filters of the chains, in Envoy v3 JSON: the stock ones, and the wasm one as it is referred to and as it is pushed. */

export type HttpFilter = JsonObject & { readonly name: string };

const TYPE = 'type.googleapis.com/envoy.extensions';
/** Stands in the wasm filter's place when a role has nothing to do: a header mutation without mutations. */
const NOTHING = `${TYPE}.filters.http.header_mutation.v3.HeaderMutation`;

/**
 * Removes the internal headers that may not come in here, before anything else looks at the request. A field of every
 * connection manager. Stock, so that it works whatever becomes of the wasm filter; and *early*, since a filter in the
 * chain would come too late: `header_mutation` itself asks for the route first, and the route it gets by a forged header
 * stays when no later filter changes anything (tried: a strict token from outside was answered 503).
 *
 * `tag`: nobody's tag is believed here, so take it off by stock means too, that it cannot pass a wasm filter that failed.
 */
export function earlyStrip(role: ChainRole, tag?: string): JsonObject {
  const column = { gateway: 'fromOutside', outbound: 'fromApplication', inbound: 'fromMesh' } as const;
  const requests = INTERNAL_HEADERS.filter((header) => header.on === 'request' && header[column[role]]);
  const names = [
    ...requests.map((header) => header.name),
    ...(role === 'inbound' ? [] : ENVOY_REQUEST_HEADERS),
    ...(tag === undefined ? [] : [tag]),
  ];
  const strip = {
    name: 'causeway.strip',
    typed_config: {
      '@type': `${TYPE}.http.early_header_mutation.header_mutation.v3.HeaderMutation`,
      mutations: names.map((name) => ({ remove: name })),
    },
  };
  return { early_header_mutation_extensions: [strip] };
}

/** First in a gateway's chain: what the mesh says of itself in answers ends there. */
export function stripAnswersFilter(expose: boolean): HttpFilter {
  const shown: readonly string[] = expose ? [WANTED_LANE, SERVED_LANE] : [];
  const answers = INTERNAL_HEADERS.filter((header) => header.on === 'response' && header.toOutside);
  const names = answers.map((header) => header.name).filter((name) => !shown.includes(name));
  return {
    name: 'causeway.strip-answers',
    typed_config: {
      '@type': `${TYPE}.filters.http.header_mutation.v3.HeaderMutation`,
      mutations: { response_mutations: names.map((name) => ({ remove: name })) },
    },
  };
}

/** Type URL of the wasm filter. */
export function wasmType(): string {
  return `${TYPE}.filters.http.wasm.v3.Wasm`;
}

/** Name of a plugin: of its place in the chain, its ECDS resource and its file. */
export function pluginName(place: Place | 'upstream' | 'network'): string {
  return `causeway.${place}`;
}

/**
 * The place of the wasm filter in a chain. What stands there comes from a file of its own: a change, or switching all filters
 * of the role off, works on the next request, also of connections that exist. A new listener would serve only new ones.
 */
export function wasmPlace(place: Place, dir: string): HttpFilter {
  return {
    name: pluginName(place),
    config_discovery: {
      config_source: fileSource(dir, PATHS.extension(pluginName(place))),
      type_urls: [`${TYPE}.filters.http.wasm.v3.Wasm`, NOTHING],
    },
  };
}

/**
 * The wasm filter of one role as an ECDS resource. All roles share a `vm_id`, hence the trace map; each has a VM of its own
 * (`vm_config.configuration`), so that a trap takes down one role only.
 *
 * Failure policy: FAIL_RELOAD. FAIL_OPEN would, after one trap, silently serve every later request without lanes: tags
 * of strangers would pass, strict lanes would leak. FAIL_CLOSED would turn one trap into an outage. With FAIL_RELOAD the
 * requests in flight in that VM are lost and the next one finds a fresh VM.
 */
export function wasmExtension(role: Role, wasmPath: string, sections: JsonObject): JsonObject {
  if (Object.keys(sections).length === 0) return { name: pluginName(role), typed_config: { '@type': NOTHING } };
  return wasmPlugin(pluginName(role), role, 'causeway', wasmPath, sections);
}

/** The filter of a control listener: isolation alone, in the VM of the inbound side. */
export function controlExtension(wasmPath: string, section: JsonObject): JsonObject {
  return wasmPlugin(pluginName('control'), 'inbound', 'isolation', wasmPath, section);
}

/** The place of the network filter before a broker; like {@link wasmPlace}. */
export function networkPlace(dir: string): JsonObject {
  return {
    name: pluginName('network'),
    config_discovery: {
      config_source: fileSource(dir, PATHS.extension(pluginName('network'))),
      type_urls: [`${TYPE}.filters.network.wasm.v3.Wasm`],
    },
  };
}

/** What stands there, as an ECDS resource. */
export function networkExtension(wasmPath: string, section: JsonObject): JsonObject {
  const resource = wasmPlugin(pluginName('network'), 'network', 'event-isolation', wasmPath, section);
  const typed = resource.typed_config as JsonObject;
  return { ...resource, typed_config: { ...typed, '@type': `${TYPE}.filters.network.wasm.v3.Wasm` } };
}

function wasmPlugin(name: string, role: Role, rootId: string, wasmPath: string, configuration: JsonObject): JsonObject {
  return {
    name,
    typed_config: {
      '@type': `${TYPE}.filters.http.wasm.v3.Wasm`,
      config: {
        ...plugin(name, role, rootId, wasmPath),
        // As text: Envoy 1.40 hands a Struct over in protobuf's binary form.
        configuration: {
          '@type': 'type.googleapis.com/google.protobuf.StringValue',
          value: JSON.stringify(configuration),
        },
      },
    },
  };
}

/** Plugins of one role and module are in one VM on each worker. */
function plugin(name: string, role: Role, rootId: string, wasmPath: string): JsonObject {
  return {
    name,
    root_id: rootId,
    failure_policy: 'FAIL_RELOAD',
    // After a second trap within the back-off requests are refused until it ends; the default is a whole second.
    reload_config: { backoff: { base_interval: '0.01s', max_interval: '1s' } },
    vm_config: {
      vm_id: 'causeway',
      runtime: 'envoy.wasm.runtime.v8',
      code: { local: { filename: wasmPath } },
      configuration: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: role },
    },
  };
}

const FAULT = 'causeway.fault';

/** Envoy's own fault filter, without a fault: routes that a drill has made say which (see {@link faultOverride}). */
export function faultFilter(): HttpFilter {
  return { name: FAULT, typed_config: { '@type': `${TYPE}.filters.http.fault.v3.HTTPFault` } };
}

/** What a route carries for a fault drill. */
export function faultOverride(fault: Fault): JsonObject {
  const percentage = { numerator: Math.round(fault.percent * 10_000), denominator: 'MILLION' };
  return {
    [FAULT]: {
      '@type': `${TYPE}.filters.http.fault.v3.HTTPFault`,
      ...(fault.abortStatus === 0 ? {} : { abort: { http_status: fault.abortStatus, percentage } }),
      ...(fault.delayMs === 0 ? {} : { delay: { fixed_delay: `${fault.delayMs / 1000}s`, percentage } }),
    },
  };
}

const ROUTER = `${TYPE}.filters.http.router.v3.Router`;

/** Last in a chain. */
export function routerFilter(): HttpFilter {
  return { name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER } };
}

/** Where calls go out the router comes from a file of its own: what it logs changes with the module, and the listener does not. */
export type CallingRole = Extract<Role, 'gateway' | 'outbound'>;

export function routerName(role: CallingRole): string {
  return `causeway.router.${role}`;
}

/** Last in the chain of a calling role; like {@link wasmPlace}. */
export function routerPlace(role: CallingRole, dir: string): HttpFilter {
  return {
    name: routerName(role),
    config_discovery: {
      config_source: fileSource(dir, PATHS.extension(routerName(role))),
      type_urls: [ROUTER],
    },
  };
}

/** The router of a calling role as an ECDS resource. It tells of failed tries where the role's sections have outlier-blacklist. */
export function routerExtension(role: CallingRole, wasmPath: string, sections: JsonObject): JsonObject {
  const told = 'outlier-blacklist' in sections ? { upstream_log: [failedTriesLog(role, wasmPath)] } : {};
  return { name: routerName(role), typed_config: { '@type': ROUTER, ...told } };
}

/**
 * Shows outlier-blacklist, in the VM of the role, the tries that failed, also those that a retry makes good: an answer of 5xx, a
 * timeout of the try, an answer that is no HTTP. Envoy picks these out by itself, so that a good try costs nothing.
 */
export function failedTriesLog(role: Role, wasmPath: string): JsonObject {
  const failed = {
    status_code_filter: { comparison: { op: 'GE', value: { default_value: 500, runtime_key: 'causeway.failed_try' } } },
  };
  return {
    name: 'envoy.access_loggers.wasm',
    filter: { or_filter: { filters: [failed, { response_flag_filter: { flags: ['UT', 'SI', 'UPE'] } }] } },
    typed_config: {
      '@type': `${TYPE}.access_loggers.wasm.v3.WasmAccessLog`,
      config: plugin('causeway.tries', role, 'outlier-blacklist.tries', wasmPath),
    },
  };
}
