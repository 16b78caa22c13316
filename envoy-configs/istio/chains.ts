import { dnsLabel } from '../../filters/lane-tagging/dns-label.ts';
import type { Mesh, Service } from '../mesh.ts';
import { instanceOf } from './options.ts';

/**
 * The chains of lanes that requests to a service may ask for. Under Istio every lane of a service is a cluster of its own,
 * so the filter names the whole chain in one header and a route matches it exactly.
 */
export interface RoutedChain {
  /** Value of the header, as lane-fallback writes it with `handOver: route`: `dev1>base`, `gold`, `=reviews-base-1>base`. */
  readonly token: string;
  /** Name for Kubernetes objects and routes; unique within the service. */
  readonly label: string;
  /** Subsets that may serve, best first; never empty. One in which the service has no instance is passed over per request. */
  readonly subsets: readonly string[];
  /** How many of them have instances as the file says. */
  readonly present: number;
}

/** Subset of a DestinationRule that holds one lane's instances. */
export function laneSubset(lane: string): string {
  return dnsLabel(lane);
}

/** Subset that holds one instance. */
export function instanceSubset(id: string): string {
  return dnsLabel(`pin.${id}`);
}

/** Instances of this service to which some rule pins traffic. */
export function pinnedInstances(mesh: Mesh, service: Service): readonly string[] {
  const ids = mesh.steering.flatMap(({ to }) =>
    to.flatMap(({ target }) => ('instance' in target ? [target.instance] : [])),
  );
  return [...new Set(ids)].filter((id) => instanceOf(service, id) !== undefined);
}

/**
 * Lanes that are rendered for every service, whether or not it has instances there. Istio takes clusters away before the
 * routes that name them, so a service that joins or leaves a lane may change endpoints, but not which clusters there are.
 */
export function lanesOf(mesh: Mesh): readonly string[] {
  const chained = mesh.lanes.flatMap(({ name, chain }) => [name, ...chain]);
  const steered = mesh.steering.flatMap(({ to }) =>
    to.flatMap(({ target }) => ('lanes' in target ? target.lanes : [])),
  );
  const served = mesh.services.flatMap(({ instances }) => instances.map(({ lane }) => lane));
  return [...new Set([mesh.baseline, ...chained, ...steered, ...served])];
}

/** Chains that differ from the default, which is the baseline alone; each token once. */
export function routedChains(mesh: Mesh, service: Service): readonly RoutedChain[] {
  const chains = new Map<string, RoutedChain>();
  const populated = new Set(service.instances.map(({ lane }) => lane));
  const add = (lanes: readonly string[], pin?: string) => {
    const token = [...(pin === undefined ? [] : [`=${pin}`]), ...lanes].join('>');
    const pinned = pin !== undefined && instanceOf(service, pin) ? [instanceSubset(pin)] : [];
    const subsets = [...pinned, ...lanes.map(laneSubset)];
    const present = pinned.length + lanes.filter((lane) => populated.has(lane)).length;
    const byDefault = subsets.length === 1 && subsets[0] === laneSubset(mesh.baseline);
    if (!byDefault) chains.set(token, { token, label: dnsLabel(token), subsets, present });
  };
  for (const lane of mesh.lanes) add([lane.name, ...lane.chain]);
  for (const rule of mesh.steering) {
    if (rule.services.length > 0 && !rule.services.includes(service.name)) continue;
    for (const { target } of rule.to) {
      if ('lanes' in target) add(target.lanes);
      else add([mesh.baseline], target.instance);
    }
  }
  return [...chains.values()];
}
