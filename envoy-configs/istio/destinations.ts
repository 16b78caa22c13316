import type { JsonObject, LbPolicy, Mesh, Service } from '../mesh.ts';
import { instanceSubset, laneSubset, lanesOf, pinnedInstances } from './chains.ts';
import { type Resource, resource } from './kube.ts';
import { hostOf, INSTANCE_LABEL, type IstioOptions, laneLabels } from './options.ts';

/** Each lane of a service is a subset, and so a cluster of its own: `outbound|9080|dev1|reviews.default.svc.cluster.local`. */
export function destinationRule(mesh: Mesh, service: Service, istio: IstioOptions): Resource {
  const lanes = lanesOf(mesh).map((lane) => ({
    name: laneSubset(lane),
    labels: laneLabels(service, lane, istio),
    // Behind the baseline there is nothing to spare its hosts for: with none healthy all are tried.
    ...(lane === mesh.baseline ? { trafficPolicy: policy(service, 1) } : {}),
  }));
  const pins = pinnedInstances(mesh, service).map((id) => ({
    name: instanceSubset(id),
    labels: { [INSTANCE_LABEL]: id },
  }));
  return resource('DestinationRule', istio.namespace, `causeway-${service.name}`, {
    host: hostOf(service, istio),
    trafficPolicy: policy(service, 0),
    subsets: [...lanes, ...pins],
  });
}

/**
 * Only connections that fail eject a host; what an application answers is its own business. Readiness is Kubernetes'
 * affair: Istio's clusters have no active health checks. A single host must be ejectable, so that its chain goes on.
 */
function policy(service: Service, minHealthPercent: number): JsonObject {
  return {
    loadBalancer: loadBalancer(service.lb),
    outlierDetection: {
      splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 3,
      consecutiveGatewayErrors: 0,
      consecutive5xxErrors: 0,
      interval: '1s',
      baseEjectionTime: '1s',
      maxEjectionPercent: 100,
      minHealthPercent,
    },
  };
}

function loadBalancer(lb: LbPolicy): JsonObject {
  switch (lb.policy) {
    case 'round_robin':
      return { simple: 'ROUND_ROBIN' };
    case 'least_request':
      return { simple: 'LEAST_REQUEST' };
    case 'random':
      return { simple: 'RANDOM' };
    case 'ring_hash':
      return { consistentHash: { httpHeaderName: lb.hashHeader, ringHash: { minimumRingSize: 1024 } } };
    case 'maglev':
      return { consistentHash: { httpHeaderName: lb.hashHeader, maglev: { tableSize: 2039 } } };
  }
}
