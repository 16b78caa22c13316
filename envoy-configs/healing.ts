import { HOSTS } from '../filters/headers.ts';
import { MAX_CONFIGURED_HOSTS } from '../filters/outlier-blacklist/schema.ts';
import { authorities, type JsonObject, type LbPolicy, type Mesh, type Service } from './mesh.ts';

/**
 * What outlier-blacklist needs of a caller's Envoy: a load balancer that takes hosts named by the filter before it chooses
 * itself. Tried on 1.40: `override_host` works inside the members of a composite cluster, hands out one entry for each
 * try, passes unknown ones over and leaves the rest to the policy beneath; it looks at no health check.
 */

const TYPE = 'type.googleapis.com/envoy.extensions.load_balancing_policies';

/** Hosts of all services that one filter counts; see filters/outlier-blacklist/row.ts. */
const MAX_HOSTS = 512;

/**
 * The cluster's whole load balancing; `subsets` holds the fields of the subset policy, null where there are none; `growth` those
 * by which the weight of a new host grows.
 */
export function overridable(lb: LbPolicy, subsets: JsonObject | null, growth: JsonObject = {}): JsonObject {
  const leaf = leafPolicy(lb, growth);
  const beneath = subsets === null ? leaf : policy('subset', 'Subset', { ...subsets, subset_lb_policy: only(leaf) });
  return {
    load_balancing_policy: only(
      policy('override_host', 'OverrideHost', {
        override_host_sources: [{ header: HOSTS }],
        fallback_policy: only(beneath),
      }),
    ),
  };
}

function leafPolicy(lb: LbPolicy, growth: JsonObject): JsonObject {
  switch (lb.policy) {
    case 'round_robin':
      return policy('round_robin', 'RoundRobin', growth);
    case 'least_request':
      return policy('least_request', 'LeastRequest', growth);
    case 'random':
      return policy('random', 'Random', {});
    case 'ring_hash':
      return policy('ring_hash', 'RingHash', { minimum_ring_size: 1024 });
    case 'maglev':
      return policy('maglev', 'Maglev', { table_size: 2039 });
  }
}

function policy(name: string, message: string, fields: JsonObject): JsonObject {
  return {
    typed_extension_config: {
      name: `envoy.load_balancing_policies.${name}`,
      typed_config: { '@type': `${TYPE}.${name}.v3.${message}`, ...fields },
    },
  };
}

function only(item: JsonObject): JsonObject {
  return { policies: [item] };
}

/** The filter's section for a caller of `callees`; empty when none of them is to be healed. */
export function outlierSection(mesh: Mesh, callees: readonly Service[]): Readonly<Record<string, JsonObject>> {
  const healed = callees.filter(({ healing }) => healing);
  if (healed.length === 0) return {};
  let room = MAX_HOSTS;
  const services = healed.map((service) => {
    const hosts = service.instances.map(({ address, ports, lane }) => ({
      address: `${address}:${ports.inbound}`,
      lane,
    }));
    const named = hosts.length <= Math.min(MAX_CONFIGURED_HOSTS, room);
    if (named) room -= hosts.length;
    return {
      name: service.name,
      authorities: authorities(service),
      ...(service.protocol === 'grpc' ? { grpc: true } : {}),
      ...('hashHeader' in service.lb ? { hashHeader: service.lb.hashHeader } : {}),
      probe: { cluster: `${service.name}.lanes`, path: service.healthCheck.path },
      // Beyond the bound the filter counts those that answer.
      ...(named ? { hosts } : {}),
    };
  });
  return { 'outlier-blacklist': { baseline: mesh.baseline, services } };
}
