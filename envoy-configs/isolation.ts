import { type Instance, type JsonObject, laneChain, type Mesh, type Service } from './mesh.ts';
import type { IsolatedInstance } from './mesh-isolation.ts';

/** What `isolation` is told, and where an instance listens for those on its own machine. */

/** Where `isolation` says nothing; also the filter's own default. */
export const DRAIN_SECONDS = 30;
/** Where EDAS tells an instance to go offline. */
const EDAS_PORT = 54_199;

/** The filter's section at the inbound side of an instance; nothing in a mesh without isolation. */
export function isolationSection(
  mesh: Mesh,
  service: Service,
  instance: Instance,
): Readonly<Record<string, JsonObject>> {
  const { isolation, lossless } = mesh;
  if (!hasControl(mesh)) return {};
  const isolated = isolationOf(mesh, instance.id);
  return {
    isolation: {
      direction: 'inbound',
      ...(isolated === undefined ? {} : keptOut(isolated)),
      ...(obeysCentre(mesh, service, instance) ? { centre: true } : {}),
      healthPath: service.healthCheck.path,
      drainSeconds: isolation?.drainSeconds ?? DRAIN_SECONDS,
      ...(lossless === null || lossless.delaySeconds === 0 ? {} : { delaySeconds: lossless.delaySeconds }),
      ...(isolation === null || isolation.identities.length === 0 ? {} : { identities: isolation.identities }),
    },
  };
}

function keptOut(isolated: IsolatedInstance): JsonObject {
  return isolated.match === null ? { isolated: true } : { rules: [{ name: 'isolated', match: isolated.match }] };
}

export function isolationOf(mesh: Mesh, id: string): IsolatedInstance | undefined {
  return mesh.isolation?.instances.find((isolated) => isolated.id === id);
}

/** All of an instance's traffic is kept out. */
export function isIsolated(mesh: Mesh, id: string): boolean {
  return isolationOf(mesh, id)?.match === null;
}

/** Instances can be told to go offline, and are to be reached for diagnosis. */
export function hasControl(mesh: Mesh): boolean {
  return mesh.isolation !== null || mesh.lossless !== null;
}

/** The section of the control listener's filter; null where there is no such listener. */
export function controlSection(mesh: Mesh): JsonObject | null {
  return hasControl(mesh) ? { direction: 'control', ...(mesh.lossless?.edas ? { edas: true } : {}) } : null;
}

/** Ports of the control listener, the first its own. */
export function controlPorts(mesh: Mesh, instance: Instance): readonly number[] {
  return [instance.ports.control, ...(mesh.lossless?.edas ? [EDAS_PORT] : [])];
}

/** Where an instance's control listener is: never to be reached from another machine. */
export function controlAddress(instance: Instance): string {
  return instance.address.startsWith('127.') ? instance.address : '127.0.0.1';
}

/** Instances of a service that take every request that is not kept out by a rule. */
export function openInstances(mesh: Mesh, service: Service): readonly Instance[] {
  return service.instances.filter(({ id }) => !isIsolated(mesh, id));
}

/** The section of the filter before an instance's brokers. */
export function eventSection(mesh: Mesh, service: Service, instance: Instance): JsonObject {
  return {
    isolated: isIsolated(mesh, instance.id),
    ...(obeysCentre(mesh, service, instance) ? { centre: true } : {}),
  };
}

/** Whether the healing centre may isolate an instance. */
export function obeysCentre(mesh: Mesh, service: Service, instance: Instance): boolean {
  const { centre, isolation, filters } = mesh;
  if (centre === null || isolation === null || !filters.isolation.enabled) return false;
  return !stayers(mesh, service).includes(instance);
}

/**
 * Instances that take no orders from the healing centre, so that none, whatever has become of it, can take all: for each lane the
 * first one that may serve it and is not isolated by the file. That of the baseline does for every lane that ends there.
 */
function stayers(mesh: Mesh, service: Service): readonly Instance[] {
  const stay: Instance[] = [];
  for (const lane of [mesh.baseline, ...mesh.lanes.map(({ name }) => name)]) {
    const chain = laneChain(mesh, lane);
    const serves = (candidate: Instance) => chain.includes(candidate.lane);
    const first = stay.some(serves) ? undefined : openInstances(mesh, service).find(serves);
    if (first) stay.push(first);
  }
  return stay;
}
