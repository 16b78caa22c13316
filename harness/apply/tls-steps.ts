import type { Mesh, Service, ServiceTls } from '../../envoy-configs/mesh.ts';

/**
 * The meshes through which a change of TLS goes, so that at no moment a call meets a server that does not understand it:
 *
 *   1. everybody is able to do both: servers permissive, clusters of both states with health checks; the calls as before
 *   2. the calls change over, by the filter alone
 *   3. what is no longer needed goes: health checks in plaintext, the plain chain, the TLS clusters
 *
 * A step that is like the one before is none. Without TLS on either side there is the wanted mesh alone.
 */
export function tlsSteps(before: Mesh, after: Mesh): Mesh[] {
  if (before.tls === null && after.tls === null) return [after];
  const steps = [between(before, after, prepared), between(before, after, switched), after];
  const texts = [JSON.stringify(before), ...steps.map((mesh) => JSON.stringify(mesh))];
  return steps.filter((mesh, index) => mesh === after || texts[index + 1] !== texts[index]);
}

/** Services of which more calls go by TLS afterwards. */
export function risingServices(before: Mesh, after: Mesh): string[] {
  return after.services
    .filter((service) => share(service.tls) > share(stateOf(before, service.name)))
    .map(({ name }) => name);
}

function share(tls: ServiceTls | null): number {
  if (tls === null || tls.mode === 'off') return 0;
  return tls.mode === 'on' ? 101 : tls.percent;
}

function stateOf(mesh: Mesh, name: string): ServiceTls | null {
  return mesh.services.find((service) => service.name === name)?.tls ?? null;
}

/** @param old null where the service had no TLS; @param wanted null where it is to have none. Never both. */
type Blend = (old: ServiceTls | null, wanted: ServiceTls | null) => ServiceTls;

function between(before: Mesh, after: Mesh, blend: Blend): Mesh {
  const tls = after.tls ?? before.tls;
  const mutual = (before.tls?.mutual ?? true) && (after.tls?.mutual ?? true);
  const ready = new Set(
    before.services.flatMap(({ instances }) => instances.filter(({ tlsReady }) => tlsReady).map(({ id }) => id)),
  );
  const services = after.services.map((service): Service => {
    const old = before.services.find(({ name }) => name === service.name);
    if ((old?.tls ?? null) === null && service.tls === null) return service;
    if (!old) return service;
    refuseOtherPools(old, service);
    return {
      ...service,
      tls: blend(old.tls, service.tls),
      // Who is judged by identity must be called by TLS: before and after the change of that, nobody is judged.
      callers: old.callers === null ? null : service.callers,
      instances: service.instances.map((instance) => ({
        ...instance,
        tlsReady: instance.tlsReady || ready.has(instance.id),
      })),
    };
  });
  return { ...after, tls: tls === null ? null : { ...tls, mutual }, services };
}

function prepared(old: ServiceTls | null, wanted: ServiceTls | null): ServiceTls {
  const { mode, percent, pools } = old ?? { mode: 'off' as const, percent: 0, pools: undefined };
  return both(old, wanted, { mode, percent, ...(pools === undefined ? {} : { pools }) });
}

function switched(old: ServiceTls | null, wanted: ServiceTls | null): ServiceTls {
  return both(old, wanted, wanted === null ? { mode: 'off', percent: 0 } : {});
}

function both(old: ServiceTls | null, wanted: ServiceTls | null, state: Partial<ServiceTls>): ServiceTls {
  const base = wanted ?? old;
  if (base === null) throw new Error('neither TLS before nor afterwards');
  const stays = old?.mode === 'on' && wanted?.mode === 'on';
  return {
    ...base,
    ...state,
    acceptsPlain: stays ? old.acceptsPlain || wanted.acceptsPlain : true,
    plainChecks: !stays,
  };
}

/** Between one pool and two every call would meet a cluster that is not there yet, or no longer. */
function refuseOtherPools(old: Service, wanted: Service): void {
  if (!old.tls || !wanted.tls || old.tls.pools === wanted.tls.pools) return;
  if (old.tls.mode === 'off' && wanted.tls.mode === 'off') return;
  throw new Error(
    `services.${wanted.name}.tls.pools: found ${wanted.tls.pools} in place of ${old.tls.pools} while TLS is ${old.tls.mode}, expected mode off for this change; switch it off first`,
  );
}
