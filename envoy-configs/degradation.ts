import { authorities, type JsonObject, type Mesh, type Service } from './mesh.ts';
import type { Degradation } from './mesh-traffic.ts';

/**
 * What a caller's `degradation` filter is told, in its own words; null when it has nothing to do. `caller` is a service's
 * or a gateway's name.
 */
export function degradationSection(mesh: Mesh, caller: string, sources: JsonObject): JsonObject | null {
  const drops = mesh.degradation.drops.filter(({ from }) => isFrom(from, caller));
  const cuts = mesh.degradation.cuts.filter(({ from }) => isFrom(from, caller));
  const services = mesh.services.filter((service) => concerned(service, drops, cuts));
  if (services.length === 0) return null;
  return {
    ...sources,
    services: services.map((service) => ({
      name: service.name,
      authorities: authorities(service),
      ...(service.interfaces.length === 0 ? {} : { interfaces: service.interfaces.map(interfaceOf) }),
      ...(service.protocol === 'grpc' ? { grpc: true } : {}),
      ...(service.breaker === null ? {} : { breaker: service.breaker, clusters: clustersOf(mesh, service) }),
    })),
    ...(drops.length === 0 ? {} : { drops: drops.map(({ from: _, to, ...rule }) => ({ ...rule, ...servicesOf(to) })) }),
    ...(cuts.length === 0 ? {} : { cuts: cuts.map(({ from: _, ...rule }) => rule) }),
  };
}

function isFrom(from: readonly string[], caller: string): boolean {
  return from.length === 0 || from.includes(caller);
}

function concerned(service: Service, drops: Degradation['drops'], cuts: Degradation['cuts']): boolean {
  return (
    service.breaker !== null ||
    drops.some(({ to }) => to.length === 0 || to.includes(service.name)) ||
    cuts.some((cut) => cut.service === service.name)
  );
}

function servicesOf(to: readonly string[]): JsonObject {
  return to.length === 0 ? {} : { services: to };
}

function interfaceOf({ name, methods, template }: Service['interfaces'][number]): JsonObject {
  return { name, template, ...(methods.length === 0 ? {} : { methods }) };
}

/** All instances of a service stand in its first lane cluster. Without an agent nobody reads them. */
function clustersOf(mesh: Mesh, service: Service): readonly string[] {
  return mesh.agent === null ? [] : [`${service.name}.lanes`];
}
