import type { LaneService } from '../../../envoy-configs/clusters.ts';
import type { Mechanism } from './mechanisms.ts';

/**
 * The ways to fall back where each lane is a cluster of its own, as Istio's subsets are. `list`: the agent's host list says
 * which lane is there, so the request goes to dev1's cluster alone as long as the last list had it.
 */
const WAYS = ['list', 'aggregate', 'aggregate-next', 'composite', 'aggregate-partly', 'composite-partly'] as const;

export const istioMechanisms: readonly Mechanism[] = [
  { name: "a cluster per lane: agent's host list", path: '/istio/list', headers: {} },
  { name: 'a cluster per lane: aggregate', path: '/istio/aggregate', headers: {} },
  { name: 'a cluster per lane: aggregate, previous_priorities', path: '/istio/aggregate-next', headers: {} },
  { name: 'a cluster per lane: composite (chosen)', path: '/istio/composite', headers: {} },
  // One of three instances of dev1 is healthy: the request belongs there.
  { name: 'dev1 in part healthy: aggregate', path: '/istio/aggregate-partly', headers: {} },
  { name: 'dev1 in part healthy: composite (chosen)', path: '/istio/composite-partly', headers: {} },
];

const LANES = ['dev1', 'grp2', 'base'] as const;
const TYPE = 'type.googleapis.com/envoy.extensions';
const SAFE = 'connect-failure,refused-stream,reset-before-request';

export function istioClusters(service: LaneService): object[] {
  const member = (lane: string, sick: readonly object[] = []) => ({
    name: sick.length > 0 ? 'istio.partly' : `istio.${lane}`,
    type: 'STATIC',
    connect_timeout: '1s',
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    load_assignment: {
      cluster_name: lane,
      endpoints: [
        {
          lb_endpoints: [
            ...sick,
            ...service.instances
              .filter((instance) => instance.lane === lane)
              .map(({ address, ports }) => endpoint(address, ports.inbound)),
          ],
        },
      ],
    },
  });
  const joined = (name: string, kind: string, config: object) => ({
    name,
    connect_timeout: '1s',
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: { name: `envoy.clusters.${kind}`, typed_config: config },
    circuit_breakers: { thresholds: [{ max_retries: 204 }] },
  });
  const names = [...LANES, 'base'].map((lane) => `istio.${lane}`);
  return [
    ...LANES.map((lane) => member(lane)),
    member(
      'dev1',
      [1, 2].map((port) => ({ ...endpoint('127.78.9.9', port), health_status: 'UNHEALTHY' })),
    ),
    joined('istio.aggregate-partly', 'aggregate', {
      '@type': `${TYPE}.clusters.aggregate.v3.ClusterConfig`,
      clusters: ['istio.partly', 'istio.base'],
    }),
    joined('istio.composite-partly', 'composite', {
      '@type': `${TYPE}.clusters.composite.v3.ClusterConfig`,
      clusters: [{ name: 'istio.partly' }, { name: 'istio.base' }],
    }),
    joined('istio.aggregate', 'aggregate', {
      '@type': `${TYPE}.clusters.aggregate.v3.ClusterConfig`,
      clusters: names.slice(0, 3),
    }),
    joined('istio.composite', 'composite', {
      '@type': `${TYPE}.clusters.composite.v3.ClusterConfig`,
      clusters: names.map((name) => ({ name })),
    }),
  ];
}

function endpoint(address: string, port: number): object {
  return { endpoint: { address: { socket_address: { address, port_value: port } } } };
}

export function istioRoutes(): object[] {
  return WAYS.flatMap((way) => {
    const prefix = `/istio/${way}`;
    const cluster = way === 'list' ? 'istio.dev1' : `istio.${way.replace('-next', '')}`;
    const get = { name: ':method', string_match: { exact: 'GET' } };
    const route = (retryOn: string) => ({ cluster, timeout: '15s', retry_policy: policy(retryOn, way) });
    return [
      { match: { path_separated_prefix: prefix, headers: [get] }, route: route(`${SAFE},5xx,reset`) },
      { match: { path_separated_prefix: prefix }, route: route(SAFE) },
    ];
  });
}

function policy(retryOn: string, way: string): object {
  const next = {
    name: 'envoy.retry_priorities.previous_priorities',
    typed_config: {
      '@type': `${TYPE}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig`,
      update_frequency: 1,
    },
  };
  return {
    retry_on: retryOn,
    num_retries: 3,
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: { '@type': `${TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate` },
      },
    ],
    host_selection_retry_max_attempts: 5,
    retry_back_off: { base_interval: '0.002s', max_interval: '0.02s' },
    ...(way === 'aggregate-next' ? { retry_priority: next } : {}),
  };
}
