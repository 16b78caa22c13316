import {
  FALLBACK_LIST,
  ISOLATED,
  LANE,
  REDIRECT,
  REDIRECTED,
  SERVED_LANE,
  SHED,
  STRICT,
  UNREACHED,
  WANTED_LANE,
} from '../filters/headers.ts';
import {
  closedMembers,
  entryClusters,
  type LaneScheme,
  type LaneService,
  openMembers,
  seconds,
  stageKey,
  unitClusterName,
} from './clusters.ts';
import type { JsonObject } from './mesh.ts';

/**
 * Routes and stock filters around lane-fallback: how a chain gets from the filter to the load balancer, which request
 * may be tried again and when, who is told the lanes. Routes match exact tokens; no header ever names a cluster.
 */

/** One element of a route configuration's `routes`. */
export type Route = JsonObject;
export type HttpFilter = JsonObject & { readonly name: string };

/** Response headers that end at the gateway. */
export const REPORT_HEADERS: readonly string[] = [UNREACHED, WANTED_LANE, SERVED_LANE];

/** Read by the router of the caller at once; further on it would take out whoever passes it on. */
export const EJECTION = 'x-envoy-immediate-health-check-fail';

/** The whole request with all its tries, unless a service says otherwise. */
export const TIMEOUT_MS = 15_000;
const TYPE = 'type.googleapis.com/envoy.extensions';

/** A further try goes to a host that has not been tried. */
export const PREVIOUS_HOSTS: JsonObject = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  typed_config: { '@type': `${TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate` },
};

/** The application cannot have seen the request: any method may be tried again. */
export const NEVER_SEEN = ['connect-failure', 'refused-stream', 'reset-before-request', 'retriable-headers'];
/** Answers of the callee's sidecar that say so: it could not reach its application, or keeps requests from it. */
export const NEVER_SEEN_HEADERS: readonly string[] = [UNREACHED, ISOLATED];
/** It may have: only what may safely run twice. */
export const MAYBE_SEEN = ['5xx', 'gateway-error', 'reset'];
export const MAYBE_SEEN_GRPC = ['unavailable'];

/** Requests of which a part may run twice, beside GET, HEAD and OPTIONS. */
export interface IdempotentInterface {
  readonly methods: readonly string[];
  readonly pathPrefix: string;
}

export interface RouteOptions {
  /** Default `/`. */
  readonly prefix?: string;
  /** The whole request with all its tries; 0 = no bound. Default 15,000. */
  readonly timeoutMs?: number;
  /** One try of a request that may run twice; 0 = no bound of its own. Default: a third of the whole. */
  readonly perTryTimeoutMs?: number;
  /** Interfaces of the service that may run twice; a service with `idempotent` may as a whole. */
  readonly idempotent?: readonly IdempotentInterface[];
  /** The edge of the mesh: internal response headers end here. */
  readonly edge?: boolean;
  /** Tell the caller the wanted and the served lane; needs the tag's header name. */
  readonly report?: { readonly tagHeader: string; readonly baseline: string };
}

/**
 * Moves the filter's choice to the load balancer and takes its headers off. Stands behind the filter. The name of a lane
 * joins the route's own list (see {@link defaultList}); a list takes that one's place. With `thresholds`, what callees shed is
 * kept for the end of the request, after the header has been taken off.
 */
export function fallbackBridge(thresholds = false): HttpFilter {
  return {
    name: 'causeway.fallback-bridge',
    typed_config: {
      '@type': `${TYPE}.filters.http.header_to_metadata.v3.Config`,
      request_rules: [
        {
          header: LANE,
          on_header_present: { metadata_namespace: 'envoy.lb', key: stageKey(1), type: 'STRING' },
          remove: true,
        },
        {
          header: FALLBACK_LIST,
          on_header_present: {
            metadata_namespace: 'envoy.lb',
            key: 'fallback_list',
            type: 'PROTOBUF_VALUE',
            encode: 'BASE64',
          },
          remove: true,
        },
      ],
      ...(thresholds ? { response_rules: [SHED_TO_METADATA] } : {}),
    },
  };
}

/** Behind it, at a gateway, nothing of the mesh stays in the answer; overload-shedding reads it when the request ends. */
export const SHED_TO_METADATA: JsonObject = {
  header: SHED,
  on_header_present: { metadata_namespace: 'causeway', key: 'shed', type: 'STRING' },
};

/**
 * Chain of requests without a list of their own: the lane that they name, if any, then the baseline, at every stage. An
 * element of the list is added to the labels that the request already asks for, so the empty one stands for just these.
 * A strict lane's has nothing behind it.
 */
export function defaultList(scheme: LaneScheme, strict: boolean): JsonObject {
  const stages = Array.from({ length: strict ? 0 : scheme.stages }, (_, index) => ({
    [stageKey(index + 1)]: scheme.baseline,
  }));
  return { filter_metadata: { 'envoy.lb': { fallback_list: [{}, ...stages] } } };
}

/** Routes to one service, in order: strict traffic first, and of each what may run twice first. */
export function serviceRoutes(service: LaneService, scheme: LaneScheme, options: RouteOptions = {}): Route[] {
  const strict = { name: STRICT, string_match: { exact: '1' } };
  const { open, closed } = entryClusters(service, scheme);
  const closedTries = Math.max(2, closedMembers(service, scheme).length);
  return [
    ...routesByMethod(service, scheme, options, [strict], closed, closedTries),
    ...routesByMethod(service, scheme, options, [], open, openMembers(service, scheme).length),
  ];
}

function routesByMethod(
  service: LaneService,
  scheme: LaneScheme,
  options: RouteOptions,
  tokens: readonly JsonObject[],
  cluster: string,
  tries: number,
): Route[] {
  const prefix = options.prefix ?? '/';
  const strict = tokens.length > 0;
  const action = (twice: boolean): JsonObject => ({
    cluster,
    metadata_match: defaultList(scheme, strict),
    ...routeAction(service, options, tries, twice),
  });
  const shared = sharedFields(options, strict);
  if (service.idempotent) return [{ match: { prefix, headers: tokens }, route: action(true), ...shared }];
  const repeatable = (options.idempotent ?? []).map(({ methods, pathPrefix }) => ({
    match: {
      prefix: pathPrefix,
      headers: methods.length === 0 ? tokens : [...tokens, methodMatch(methods)],
    },
    route: action(true),
    ...shared,
  }));
  return [
    ...repeatable,
    {
      match: { prefix, headers: [...tokens, methodMatch(['GET', 'HEAD', 'OPTIONS'])] },
      route: action(true),
      ...shared,
    },
    { match: { prefix, headers: tokens }, route: action(false), ...shared },
  ];
}

function methodMatch(methods: readonly string[]): JsonObject {
  const [only] = methods;
  if (methods.length === 1 && only !== undefined) return { name: ':method', string_match: { exact: only } };
  return { name: ':method', string_match: { safe_regex: { regex: methods.join('|') } } };
}

function routeAction(service: LaneService, options: RouteOptions, tries: number, twice: boolean): JsonObject {
  const timeout = options.timeoutMs ?? TIMEOUT_MS;
  const perTry = twice ? (options.perTryTimeoutMs ?? Math.round(timeout / 3)) : 0;
  const words = twice
    ? [...NEVER_SEEN, ...MAYBE_SEEN, ...(service.protocol === 'grpc' ? MAYBE_SEEN_GRPC : [])]
    : NEVER_SEEN;
  return {
    timeout: seconds(timeout),
    retry_policy: {
      retry_on: words.join(','),
      retriable_headers: NEVER_SEEN_HEADERS.map((name) => ({ name, string_match: { exact: '1' } })),
      num_retries: tries - 1,
      ...(perTry > 0 ? { per_try_timeout: seconds(perTry) } : {}),
      retry_host_predicate: [PREVIOUS_HOSTS],
      host_selection_retry_max_attempts: 5,
      // A try elsewhere needs no rest for the host that failed; the small jitter only breaks lockstep.
      retry_back_off: { base_interval: '0.002s', max_interval: '0.02s' },
    },
    ...hashPolicy(service),
  };
}

export function hashPolicy(service: LaneService): JsonObject {
  const { lb } = service;
  if (lb.policy !== 'ring_hash' && lb.policy !== 'maglev') return {};
  return { hash_policy: [{ header: { header_name: lb.hashHeader } }] };
}

function sharedFields(options: RouteOptions, strict: boolean): JsonObject {
  return {
    ...(strict ? { request_headers_to_remove: [STRICT] } : {}),
    // The retry has read it before the route takes it off: nobody behind needs it.
    response_headers_to_remove: [...(options.edge ? REPORT_HEADERS : [UNREACHED]), EJECTION],
    ...(options.report ? { response_headers_to_add: reportHeaders(options.report.tagHeader) } : {}),
  };
}

/** The wanted lane on the answer: what the request's tag says. */
export const WANTED_BY_TAG = { name: WANTED_LANE, value: (tagHeader: string) => `%REQ(${tagHeader})%` } as const;

/** Wanted and served lane on the answer, written by the router itself: a filter would need one callback more for it. */
export function reportHeaders(tagHeader: string): readonly JsonObject[] {
  const set = (key: string, value: string) => ({
    header: { key, value },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  });
  return [
    set(WANTED_BY_TAG.name, WANTED_BY_TAG.value(tagHeader)),
    set(SERVED_LANE, '%UPSTREAM_METADATA(causeway:lane)%'),
  ];
}

/** Fields of a JSON access log: what was asked for and who answered, at which try. */
export function laneAccessLog(tagHeader: string): Readonly<Record<string, string>> {
  return {
    wanted: `%REQ(${tagHeader})%`,
    served: '%UPSTREAM_METADATA(causeway:lane)%',
    instance: '%UPSTREAM_METADATA(causeway:instance)%',
    tries: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  };
}

/** `local_reply_config` of an inbound connection manager: marks its own "could not reach the application". */
export function unreachedReply(): JsonObject {
  return {
    mappers: [
      {
        // UF: connection failed; UH: no usable host; UO: circuit breaker. None of them has sent a byte of the request.
        filter: { response_flag_filter: { flags: ['UF', 'UH', 'UO'] } },
        headers_to_add: [{ header: { key: UNREACHED, value: '1' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }],
      },
    ],
  };
}

/** A provider-side redirect's other unit, by its token. Stand before the route to the application. */
export function redirectRoutes(service: string, units: readonly string[], timeoutMs: number): Route[] {
  return units.map((unit) => ({
    match: { prefix: '/', headers: [{ name: REDIRECT, string_match: { exact: unit } }] },
    route: { cluster: unitClusterName(service, unit), timeout: seconds(timeoutMs) },
    request_headers_to_remove: [REDIRECT],
    response_headers_to_remove: [EJECTION],
  }));
}

/** What no application may say for the mesh, and what only its sidecar is to hear. */
export const APPLICATION_HEADERS = {
  request_headers_to_remove: [REDIRECTED],
  response_headers_to_remove: [...REPORT_HEADERS, SHED, ISOLATED, EJECTION],
} as const satisfies JsonObject;

/** The inbound route to the application: internal headers end here, in both directions. No retry: see {@link UNREACHED}. */
export function applicationRoute(cluster: string, timeoutMs: number): Route {
  return {
    match: { prefix: '/' },
    route: { cluster, timeout: seconds(timeoutMs) },
    ...APPLICATION_HEADERS,
  };
}
