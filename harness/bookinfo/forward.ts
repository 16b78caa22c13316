import type { IncomingHeaders } from './app.ts';

/**
 * The headers that Istio's Bookinfo sample passes from an incoming request to its calls (`samples/bookinfo/src` of
 * istio/istio: productpage.py and LibertyRestEndpoint.java). Nothing else is passed on, least of all a lane header.
 */
export const FORWARDED_HEADERS: readonly string[] = [
  'x-request-id',
  'x-ot-span-context',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'traceparent',
  'tracestate',
  'x-cloud-trace-context',
  'grpc-trace-bin',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'sw8',
  'user-agent',
  'cookie',
  'authorization',
  'jwt',
];

/** The reviews sample passes this one on as well; productpage sets it from its own session instead. */
export const END_USER = 'end-user';

/** Copies the named headers that are present. */
export function pick(headers: IncomingHeaders, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
