import {
  type Cluster,
  type LaneScheme,
  type LaneService,
  laneScheme,
  serviceClusters,
} from '../../../envoy-configs/clusters.ts';
import { fallbackBridge, serviceRoutes } from '../../../envoy-configs/lane-routing.ts';
import type { Json } from '../../../envoy-configs/mesh.ts';
import { encodeList } from './fallback-list.ts';
import { istioClusters, istioMechanisms, istioRoutes } from './mechanisms-istio.ts';
import { listener } from './rig.ts';

/** The ways to fall back after a failed try that were compared. Each is one route prefix of one Envoy. */
export interface Mechanism {
  readonly name: string;
  readonly path: string;
  /** Headers of a request that wants dev1, then grp2, then the baseline. */
  readonly headers: Readonly<Record<string, string>>;
}

const SAFE = 'connect-failure,refused-stream,reset-before-request';
const PREDICATE = 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
const POLICY = 'type.googleapis.com/envoy.extensions.load_balancing_policies';
const BASE = { filter_metadata: { 'envoy.lb': { fallback_list: [{ lane: 'base' }] } } };

const one = encodeList([{ lane: 'dev1' }, { lane: 'grp2' }, { lane: 'base' }]);
const staged = encodeList([{ lane: 'dev1' }, { lane: 'grp2' }, { lane: 'base' }, { lane2: 'grp2' }, { lane2: 'base' }]);

export function mechanisms(service: LaneService): readonly Mechanism[] {
  const dev1 = service.instances.find((instance) => instance.lane === 'dev1');
  return [
    { name: 'one cluster, previous_hosts', path: '/one', headers: { 'x-causeway-fallback-list': one } },
    {
      name: 'override_host names the lane, list beneath',
      path: '/override',
      headers: {
        'x-override': `${dev1?.address}:${dev1?.ports.inbound}`,
        'x-causeway-fallback-list': encodeList([{ lane: 'grp2' }, { lane: 'base' }]),
      },
    },
    { name: 'composite (chosen)', path: '/composite', headers: { 'x-causeway-fallback-list': staged } },
    {
      name: 'composite, strict lane',
      path: '/composite',
      headers: {
        'x-causeway-fallback-list': encodeList([{ lane: 'dev1' }, { lane2: 'dev1' }]),
        'x-causeway-strict': '1',
      },
    },
    ...istioMechanisms,
  ];
}

export function scheme(): LaneScheme {
  return laneScheme({
    baseline: 'base',
    lanes: [{ name: 'dev1', mode: 'permissive', chain: ['grp2', 'base'] }],
    steering: [],
  });
}

/** A listener and clusters in which all mechanisms lie side by side. */
export function bootstrap(
  service: LaneService,
  address: string,
  port: number,
): { listeners: object[]; clusters: object[] } {
  const composite = serviceClusters(service, scheme()).map(withoutChecks);
  const lanes = composite.find((cluster) => cluster.name === `${service.name}.lanes`);
  const { load_assignment, lb_policy: _policy, lb_subset_config: _subset, ...rest } = lanes as Record<string, unknown>;
  const assigned = { ...(load_assignment as object), cluster_name: 'override' };
  const clusters = [
    ...composite,
    { ...lanes, name: 'one', alt_stat_name: 'one' },
    {
      ...rest,
      name: 'override',
      alt_stat_name: 'override',
      load_assignment: assigned,
      load_balancing_policy: overridePolicy(),
    },
    ...istioClusters(service),
  ];
  const routes = [
    ...plainRoutes('/one', 'one'),
    ...plainRoutes('/override', 'override'),
    ...serviceRoutes(service, scheme(), {
      prefix: '/composite',
      report: { tagHeader: 'x-asm-traffic-lane', baseline: 'base' },
    }),
    ...istioRoutes(),
  ];
  return { listeners: [listener({ name: 'rig', address, port, filters: [fallbackBridge()], routes })], clusters };
}

/** Health checks and ejection would hide what the tries alone do. */
function withoutChecks(cluster: Cluster): Cluster {
  const { health_checks: _checks, outlier_detection: _outliers, ...rest } = cluster as Cluster & Record<string, Json>;
  return rest as Cluster;
}

function plainRoutes(prefix: string, cluster: string): object[] {
  const route = (retryOn: string) => ({
    cluster,
    timeout: '15s',
    metadata_match: BASE,
    retry_policy: {
      retry_on: retryOn,
      num_retries: 3,
      retry_host_predicate: [
        { name: 'envoy.retry_host_predicates.previous_hosts', typed_config: { '@type': PREDICATE } },
      ],
      host_selection_retry_max_attempts: 5,
      retry_back_off: { base_interval: '0.002s', max_interval: '0.02s' },
    },
  });
  const get = { name: ':method', string_match: { exact: 'GET' } };
  const served = [{ header: { key: 'x-causeway-served-lane', value: '%UPSTREAM_METADATA(causeway:lane)%' } }];
  return [
    { match: { prefix, headers: [get] }, route: route(`${SAFE},5xx,reset`), response_headers_to_add: served },
    { match: { prefix }, route: route(SAFE), response_headers_to_add: served },
  ];
}

function overridePolicy(): object {
  const policy = (name: string, config: object) => ({
    policies: [{ typed_extension_config: { name: `envoy.load_balancing_policies.${name}`, typed_config: config } }],
  });
  const robin = policy('round_robin', { '@type': `${POLICY}.round_robin.v3.RoundRobin` });
  const subset = policy('subset', {
    '@type': `${POLICY}.subset.v3.Subset`,
    fallback_policy: 'NO_FALLBACK',
    metadata_fallback_policy: 'FALLBACK_LIST',
    subset_selectors: [{ keys: ['lane'], fallback_policy: 'NO_FALLBACK' }],
    subset_lb_policy: robin,
  });
  return policy('override_host', {
    '@type': `${POLICY}.override_host.v3.OverrideHost`,
    override_host_sources: [{ header: 'x-override' }],
    fallback_policy: subset,
  });
}
