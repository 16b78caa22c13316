import {
  CLASS,
  DEGRADED,
  DROPPED,
  FALLBACK_LIST,
  HOSTS,
  ISOLATED,
  LANE,
  REDIRECT,
  REDIRECTED,
  SERVED_LANE,
  SHED,
  STRICT,
  TAG,
  TLS,
  UNREACHED,
  WANTED_LANE,
} from './headers.ts';

/**
 * The one table of internal headers: who sets each, who believes it, and where it is taken off. From it come the stock
 * stock removals at the head of every chain, those at the gateway and at the mesh's exits, the
 * doctor's rules and the tests.
 */
export interface InternalHeader {
  readonly name: string;
  readonly on: 'request' | 'response';
  readonly setBy: string;
  readonly readBy: string;
  /** Removed from what comes from outside, at the gateway. */
  readonly fromOutside: boolean;
  /** Removed from what the local application sends, at its sidecar's outbound side. */
  readonly fromApplication: boolean;
  /** Removed from what other proxies of the mesh send, at the sidecar's inbound side: its meaning ends in one proxy. */
  readonly fromMesh: boolean;
  /** Removed from what leaves the mesh: responses at the gateway, requests to services outside. */
  readonly toOutside: boolean;
}

/** Set and read within one proxy. */
const LOCAL = { fromOutside: true, fromApplication: true, fromMesh: true, toOutside: true } as const;
/** Passes from proxy to proxy. */
const MESH = { ...LOCAL, fromMesh: false } as const;

export const INTERNAL_HEADERS: readonly InternalHeader[] = [
  {
    name: TAG,
    on: 'request',
    setBy: 'lane-tagging, trace-propagation, the application',
    readBy: 'trace-propagation, lane-fallback',
    // At the gateway `trust` decides (lane-tagging); applications and proxies of the mesh may send it.
    fromOutside: false,
    fromApplication: false,
    fromMesh: false,
    toOutside: true,
  },
  { name: LANE, on: 'request', setBy: 'lane-fallback', readBy: 'header_to_metadata', ...LOCAL },
  { name: FALLBACK_LIST, on: 'request', setBy: 'lane-fallback', readBy: 'header_to_metadata', ...LOCAL },
  { name: STRICT, on: 'request', setBy: 'lane-fallback', readBy: 'the route', ...LOCAL },
  { name: REDIRECT, on: 'request', setBy: 'lane-fallback, inbound', readBy: 'the route', ...LOCAL },
  // Taken off by the callee: on the way to it the load balancer still reads it, also at a second try.
  { name: HOSTS, on: 'request', setBy: 'outlier-blacklist', readBy: 'override_host', ...LOCAL },
  { name: REDIRECTED, on: 'request', setBy: 'lane-fallback, inbound', readBy: 'lane-fallback, inbound', ...MESH },
  { name: CLASS, on: 'request', setBy: 'overload-shedding, outbound', readBy: 'overload-shedding, inbound', ...MESH },
  { name: DROPPED, on: 'request', setBy: 'overload-shedding, outbound', readBy: 'overload-shedding, inbound', ...MESH },
  { name: DEGRADED, on: 'response', setBy: 'degradation', readBy: 'applications, people, tests', ...MESH },
  { name: SHED, on: 'response', setBy: 'overload-shedding, inbound', readBy: 'overload-shedding, outbound', ...MESH },
  { name: TLS, on: 'request', setBy: 'connection-elimination', readBy: 'the route', ...LOCAL },
  { name: UNREACHED, on: 'response', setBy: 'the inbound connection manager', readBy: 'the retry policy', ...MESH },
  { name: ISOLATED, on: 'response', setBy: 'isolation', readBy: 'the retry policy, outlier-blacklist', ...MESH },
  { name: WANTED_LANE, on: 'response', setBy: 'lane-fallback', readBy: 'people, tests', ...MESH },
  { name: SERVED_LANE, on: 'response', setBy: 'lane-fallback', readBy: 'people, tests', ...MESH },
];

/**
 * Headers by which a request could steer Envoy's own router. Envoy cleans some of them at a trusted edge only, so they
 * are removed where the mesh begins: at the gateway and where an application's request enters its sidecar.
 * Source: Envoy documentation, "HTTP header sanitizing" and "Router filter".
 */
export const ENVOY_REQUEST_HEADERS: readonly string[] = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-header-names',
  'x-envoy-retriable-status-codes',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-decorator-operation',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-dst-host',
];
