import {
  balancing,
  baselineInstances,
  type Cluster,
  type LaneScheme,
  type LaneService,
  type LoadAssignment,
  loadBalancing,
  memberCluster,
  socketAddress,
} from './clusters.ts';

export function plainClusterName({ name }: Pick<LaneService, 'name'>): string {
  return `${name}.plain`;
}

/** The one cluster of a service in a mesh without the suite: its instances of the baseline. */
export function plainCluster(service: LaneService, scheme: LaneScheme): Cluster {
  const plain = { ...service, overload: null, limits: null, healing: false };
  const instances = baselineInstances(service, scheme);
  const balanced = loadBalancing(plain, scheme);
  return {
    ...memberCluster(plain, scheme, plainClusterName(service), instances, 'lane', 1, balanced),
    common_lb_config: balancing(1),
  };
}

/** Endpoints of {@link plainCluster}: addresses without labels. */
export function plainEndpoints(service: LaneService, scheme: LaneScheme): LoadAssignment {
  const endpoints = baselineInstances(service, scheme).map((instance) => ({
    endpoint: { address: socketAddress(instance.address, instance.ports.inbound) },
    load_balancing_weight: instance.weight,
  }));
  return { cluster_name: plainClusterName(service), endpoints: [{ lb_endpoints: endpoints }] };
}
