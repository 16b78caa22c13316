/**
 * The one table of internal headers: who sets each, who believes it, and where it is taken off. From it come the stock
 * `header_mutation` filter at the head of every chain, the removals at the gateway and at the mesh's exits, the
 * doctor's rules and the tests. This file is read by AssemblyScript (the names) and by TypeScript (the table): it keeps
 * to what both understand.
 */

/** The tag: the lane's name, as a Kubernetes label value. The one header that an application may set itself. */
export const TAG: string = 'x-asm-traffic-lane';
/** Chain of lanes for the load balancer, base64 of a protobuf list; `header_to_metadata` consumes it in the same proxy. */
export const FALLBACK_LIST: string = 'x-causeway-fallback-list';
/** `1`: only the wanted lane may answer; chooses the route without a baseline behind it, in the same proxy. */
export const STRICT: string = 'x-causeway-strict';
/** `1`: a 5xx of this request may be retried whatever its method; chooses the route in the same proxy. */
export const IDEMPOTENT: string = 'x-causeway-idempotent';
/** Token of the unit that a provider-side redirect sends the request to, in the same proxy. */
export const REDIRECT: string = 'x-causeway-redirect';
/** Marks a request that a provider-side redirect has already moved: it is not moved again. */
export const REDIRECTED: string = 'x-causeway-redirected';
/** Response: the lane that the tag asked for. */
export const WANTED_LANE: string = 'x-causeway-wanted-lane';
/** Response: the lane of the host that answered. */
export const SERVED_LANE: string = 'x-causeway-served-lane';

/** One row: a header and its way through the mesh. */
export class InternalHeader {
  name: string = '';
  /** `request` or `response`. */
  on: string = 'request';
  /** Who sets it. */
  setBy: string = '';
  /** Who acts on it. */
  readBy: string = '';
  /** Removed from what comes from outside, at the gateway. */
  fromOutside: boolean = true;
  /** Removed from what the local application sends, at its sidecar's outbound side. */
  fromApplication: boolean = true;
  /** Removed from what other proxies of the mesh send, at the sidecar's inbound side: its meaning ends in one proxy. */
  fromMesh: boolean = true;
  /** Removed from what leaves the mesh: responses at the gateway, requests to services outside. */
  toOutside: boolean = true;
}

function row(name: string, on: string, setBy: string, readBy: string): InternalHeader {
  const header = new InternalHeader();
  header.name = name;
  header.on = on;
  header.setBy = setBy;
  header.readBy = readBy;
  return header;
}

/** The tag's own rule: at the gateway `trust` decides (lane-tagging), applications and proxies of the mesh may send it. */
function tagRow(): InternalHeader {
  const header = row(
    TAG,
    'request',
    'lane-tagging, trace-propagation, the application',
    'trace-propagation, lane-fallback',
  );
  header.fromOutside = false;
  header.fromApplication = false;
  header.fromMesh = false;
  return header;
}

function meshRow(name: string, on: string, setBy: string, readBy: string): InternalHeader {
  const header = row(name, on, setBy, readBy);
  header.fromMesh = false;
  return header;
}

export const INTERNAL_HEADERS: InternalHeader[] = [
  tagRow(),
  row(FALLBACK_LIST, 'request', 'lane-fallback', 'header_to_metadata'),
  row(STRICT, 'request', 'lane-fallback', 'the route'),
  row(IDEMPOTENT, 'request', 'lane-fallback', 'the route'),
  row(REDIRECT, 'request', 'lane-fallback, inbound', 'the route'),
  meshRow(REDIRECTED, 'request', 'lane-fallback, inbound', 'lane-fallback, inbound'),
  meshRow(WANTED_LANE, 'response', 'lane-fallback', 'people, tests'),
  meshRow(SERVED_LANE, 'response', 'lane-fallback', 'people, tests'),
];

/**
 * Headers by which a request could steer Envoy's own router. Envoy cleans some of them at a trusted edge only, so they
 * are removed where the mesh begins: at the gateway and where an application's request enters its sidecar.
 * Source: Envoy documentation, "HTTP header sanitizing" and "Router filter".
 */
export const ENVOY_REQUEST_HEADERS: string[] = [
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
