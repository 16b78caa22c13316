import type { MeshTls, ServiceTls } from './mesh.ts';
import type { CausewayConfig } from './schema.ts';
import { milliseconds } from './schema-parts.ts';

const LIFETIME_UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function resolveMeshTls(given: CausewayConfig['tls']): MeshTls | null {
  if (given === undefined) return null;
  return {
    mutual: given.mutual ?? true,
    lifetimeMs: lifetime(given.lifetime ?? '30d'),
    returnSeconds: given.returnSeconds ?? 30,
  };
}

/** In a mesh with TLS every service is prepared for it: switching it on is then a matter of its callers alone. */
export function resolveServiceTls(
  mesh: CausewayConfig['tls'],
  given: CausewayConfig['services'][string]['tls'],
): ServiceTls | null {
  if (mesh === undefined) return null;
  const mode = given?.mode ?? 'off';
  return {
    mode,
    percent: mode === 'canary' ? (given?.percent ?? 0) : 0,
    pools: given?.pools ?? 'two',
    acceptsPlain: given?.plaintext !== 'refuse',
    plainChecks: mode !== 'on',
    idleTimeoutMs: milliseconds(mesh.idleTimeout ?? '10s'),
  };
}

function lifetime(text: string): number {
  return Number(text.slice(0, -1)) * LIFETIME_UNITS[text.slice(-1) as keyof typeof LIFETIME_UNITS];
}
