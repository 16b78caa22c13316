import type { LocalResponse } from './context.ts';
import { HeaderMap } from './header-map.ts';

/** What Envoy makes of a gRPC request's local reply when the plugin names no gRPC status. */
const GRPC_STATUS_OF_HTTP: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const GRPC_UNKNOWN = 2;

/** Headers and body of a local reply: plain, or "trailers only" for a gRPC request. */
export function localReplyHeaders(
  sent: LocalResponse,
  request: HeaderMap,
): { readonly headers: HeaderMap; readonly body: string } {
  if (/^application\/grpc($|\+|;)/.test(request.get('content-type') ?? '')) {
    const code = sent.grpcStatus >= 0 ? sent.grpcStatus : (GRPC_STATUS_OF_HTTP[sent.status] ?? GRPC_UNKNOWN);
    const headers = new HeaderMap([
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', String(code)],
    ]);
    if (sent.body.length > 0) headers.set('grpc-message', percentEncode(sent.body));
    for (const [name, value] of sent.headers) headers.add(name, value);
    return { headers, body: '' };
  }
  const headers = new HeaderMap([[':status', String(sent.status)]]);
  for (const [name, value] of sent.headers) headers.add(name, value);
  if (sent.body.length > 0) {
    headers.set('content-length', String(sent.body.length));
    if (!headers.has('content-type')) headers.add('content-type', 'text/plain');
  } else {
    headers.remove('content-length');
    headers.remove('content-type');
  }
  return { headers, body: sent.body };
}

/** Bytes outside space…tilde, and the percent sign, as `%XX`. */
function percentEncode(text: string): string {
  return text.replace(/[^ -$&-~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
