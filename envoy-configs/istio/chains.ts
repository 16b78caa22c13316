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
  /** Subsets that may serve, best first: those of the chain in which this service has instances. Empty: answer 503. */
  readonly subsets: readonly string[];
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

/** Lanes in which a service has instances, in file order. */
export function lanesOf(service: Service): readonly string[] {
  return [...new Set(service.instances.map(({ lane }) => lane))];
}

/** Chains that differ from the default, which is the baseline alone; each token once. */
export function routedChains(mesh: Mesh, service: Service): readonly RoutedChain[] {
  const chains = new Map<string, RoutedChain>();
  const present = new Set(lanesOf(service));
  const add = (lanes: readonly string[], pin?: string) => {
    const token = [...(pin === undefined ? [] : [`=${pin}`]), ...lanes].join('>');
    const subsets = [
      ...(pin !== undefined && instanceOf(service, pin) ? [instanceSubset(pin)] : []),
      ...lanes.filter((lane) => present.has(lane)).map(laneSubset),
    ];
    const byDefault = subsets.length === 1 && subsets[0] === laneSubset(mesh.baseline);
    if (!byDefault) chains.set(token, { token, label: dnsLabel(token), subsets });
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
