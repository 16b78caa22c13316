import { randomBytes } from 'node:crypto';
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

/** The named headers that are present, with a span of our own where `ownSpan` says so. */
export function passOn(headers: IncomingHeaders, names: readonly string[], ownSpan: boolean): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) picked[name] = value;
  }
  return ownSpan ? withOwnSpan(picked) : picked;
}

/**
 * What an application with a tracing library does to the headers that it passes on: the trace stays, the span is its
 * own. So a header's whole value changes at every hop, and only the trace id inside it is the same.
 */
export function withOwnSpan(headers: Readonly<Record<string, string>>): Record<string, string> {
  const span = randomBytes(8).toString('hex');
  const own = { ...headers };
  if (own.traceparent) own.traceparent = own.traceparent.replace(/^(\w+-\w+)-\w+/, `$1-${span}`);
  if (own.b3?.includes('-'))
    own.b3 = own.b3
      .replace(/^(\w+)-(\w+)(-\w+)?(-\w+)?$/, `$1-${span}$3-$2`)
      .replace(/^(\w+-\w+)-(\w{16})$/, '$1-1-$2');
  if (own['x-b3-spanid']) {
    own['x-b3-parentspanid'] = own['x-b3-spanid'];
    own['x-b3-spanid'] = span;
  }
  return own;
}
