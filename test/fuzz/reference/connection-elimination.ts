import type { ConnectionEliminationConfig, TlsServiceConfig } from '../../../filters/connection-elimination/schema.ts';
import { draws } from './lane-fallback.ts';
import type { RequestHeaders } from './request.ts';
import { type Source, stickyNumber } from './trace.ts';

/** Sets the token where the call is expected to go by TLS. No handshake ever fails here, so no canary goes back. */
export function chooseTls(
  config: ConnectionEliminationConfig,
  sources: readonly Source[],
  headers: RequestHeaders,
): void {
  const service = calledService(config, headers);
  if (service === undefined || service.pools === 'one') return;
  const tls =
    service.mode === 'on' ||
    (service.mode === 'canary' && draws(service.percent ?? 0, service.name, stickyNumber(headers, sources)));
  if (tls) headers.set('x-causeway-tls', '1');
}

function calledService(
  { direction, services = [] }: ConnectionEliminationConfig,
  headers: RequestHeaders,
): TlsServiceConfig | undefined {
  if (direction !== 'gateway') {
    const authority = folded(headers.first(':authority') ?? '');
    return services.find(({ authorities = [] }) => authorities.some((one) => folded(one) === authority));
  }
  const path = headers.first(':path') ?? '';
  const [best] = services
    .flatMap((service) => (service.prefixes ?? []).map((prefix) => ({ prefix, service })))
    .filter(({ prefix }) => path.startsWith(prefix))
    .sort((a, b) => b.prefix.length - a.prefix.length);
  return best?.service;
}

function folded(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
