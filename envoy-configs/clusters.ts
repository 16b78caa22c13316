import { CLASS, SHED } from '../filters/headers.ts';
import { overridable } from './healing.ts';
import type { HealthCheck, Instance, InstancePorts, JsonObject, Lane, Service } from './mesh.ts';
import type { Lossless } from './mesh-isolation.ts';
import type { Steering } from './mesh-traffic.ts';

/**
 * Clusters of one service as its callers see it.
 *
 *   <svc>            composite: the n-th try of a request goes to the n-th member; a member without a usable host passes
 *   ├─ <svc>.lanes      all instances, subsets by lane: walks the chain in `envoy.lb.fallback_list`
 *   ├─ <svc>.lanes.2…   the same from the chain's second lane on; only in meshes with chains of three and more
 *   └─ <svc>.baseline   instances of the baseline alone: the last resort
 *   <svc>.closed     composite of the lane members alone, for chains that do not end in the baseline (strict lanes)
 *
 * Envoys before 1.37 know no composite: for them routes go to <svc>.lanes itself, the only cluster.
 *
 * Why a composite, measured: test/bench/fallback-retry. Every stage has its own label key (`lane`, `lane2`, …), so that one
 * list can carry what each stage is to walk. All objects are Envoy v3 JSON.
 */

export type Cluster = JsonObject & { readonly name: string };

/** Envoy's ClusterLoadAssignment. */
export type LoadAssignment = JsonObject & { readonly cluster_name: string };

/** What the builders need of an instance; `Instance` has it. */
export type LaneInstance = Pick<Instance, 'id' | 'address' | 'lane' | 'weight'> & {
  readonly shard?: number;
  readonly ports: Pick<InstancePorts, 'inbound'>;
};

/** What the builders need of a service; `Service` has it. */
export type LaneService = Pick<Service, 'name' | 'protocol' | 'idempotent' | 'lb' | 'healthCheck' | 'shards'> & {
  /** Whether its instances shed load; absent = no. */
  readonly overload?: JsonObject | null;
  /** Whether they limit requests per second; absent = no. */
  readonly limits?: Service['limits'];
  readonly healing?: boolean;
  readonly instances: readonly LaneInstance[];
};

/** What is the same for every service of a mesh. See {@link laneScheme}. */
export interface LaneScheme {
  readonly baseline: string;
  /** Lane clusters of a service, 1–8; also `stages` of the filter's configuration. */
  readonly stages: number;
  /** Some rule pins traffic to one instance: each instance gets a subset of its own. */
  readonly pins: boolean;
  /** Failed tries walk the chain by a composite cluster; without, they stay in the lane. Absent = yes. */
  readonly composite?: boolean;
  /** How long the share of a host that has become healthy grows. Default 0 = not at all. */
  readonly warmUpMs?: number;
  /** Default 1,000. */
  readonly connectTimeoutMs?: number;
  /** Concurrent requests that one service may have from one proxy. Default 1,024. */
  readonly maxRequests?: number;
  /** Retries at a time, in percent of `maxRequests`. Default 20. */
  readonly retryPercent?: number;
  /** Where a cluster's endpoints come from; endpoints are inlined without it. */
  readonly eds?: (cluster: string) => JsonObject;
}

export interface SchemeSource {
  readonly lossless?: Pick<Lossless, 'warmUpMs'> | null;
  readonly baseline: string;
  readonly lanes: readonly Lane[];
  readonly steering: readonly Pick<Steering, 'to'>[];
  /** Absent = yes. */
  readonly composite?: boolean;
}

const CONNECT_TIMEOUT_MS = 1_000;
const MAX_REQUESTS = 1_024;
const RETRY_PERCENT = 20;
/** The last resort is asked so seldom that its hosts are checked less often; each cluster checks its hosts by itself. */
const LAST_RESORT_INTERVALS = 4;

const MERGE_WINDOW_MS = 50;

const TYPE = 'type.googleapis.com/envoy.extensions';

/** Derives the scheme from a mesh: as many stages as its longest chain has lanes before the baseline. */
export function laneScheme(mesh: SchemeSource): LaneScheme {
  const targets = mesh.steering.flatMap((rule) => rule.to.map((weighted) => weighted.target));
  const chains = [
    ...mesh.lanes.map((lane) => [lane.name, ...lane.chain]),
    ...targets.map((target) => ('lanes' in target ? target.lanes : [])),
  ];
  const depth = (chain: readonly string[]) => (chain.at(-1) === mesh.baseline ? chain.length - 1 : chain.length);
  return {
    baseline: mesh.baseline,
    stages: Math.max(1, ...chains.map(depth)),
    pins: targets.some((target) => 'instance' in target),
    composite: mesh.composite ?? true,
    warmUpMs: mesh.lossless?.warmUpMs ?? 0,
  };
}

/** Label key by which stage `stage` (1-based) finds its lanes. */
export function stageKey(stage: number): string {
  return stage === 1 ? 'lane' : `lane${stage}`;
}

function stageCluster(service: string, stage: number): string {
  return stage === 1 ? `${service}.lanes` : `${service}.lanes.${stage}`;
}

/** Some lane beside the baseline has a second instance, so a second try inside the lane can help. */
function hasReplicas(service: LaneService, scheme: LaneScheme): boolean {
  const seen = new Set<string>();
  for (const { lane } of service.instances) {
    if (lane !== scheme.baseline && seen.has(lane)) return true;
    seen.add(lane);
  }
  return false;
}

/** Members of the chain for strict traffic, by try. */
export function closedMembers(service: LaneService, scheme: LaneScheme): readonly string[] {
  const stages = Array.from({ length: scheme.stages }, (_, index) => stageCluster(service.name, index + 1));
  return hasReplicas(service, scheme) ? [stageCluster(service.name, 1), ...stages] : stages;
}

/** Members of the service's composite cluster, by try; the second to last try is another instance of the baseline. */
export function openMembers(service: LaneService, scheme: LaneScheme): readonly string[] {
  const baseline = `${service.name}.baseline`;
  return [...closedMembers(service, scheme), baseline, baseline];
}

/** Where routes of the service lead: those of requests that may end in the baseline, and those that may not. */
export function entryClusters(service: LaneService, scheme: LaneScheme): { open: string; closed: string } {
  const lanes = stageCluster(service.name, 1);
  if (scheme.composite === false) return { open: lanes, closed: lanes };
  return { open: service.name, closed: scheme.stages > 1 ? `${service.name}.closed` : lanes };
}

/** All clusters by which a proxy calls this service. */
export function serviceClusters(service: LaneService, scheme: LaneScheme): Cluster[] {
  if (scheme.composite === false) return [lanesCluster(service, scheme, 1)];
  const lanes = Array.from({ length: scheme.stages }, (_, index) => lanesCluster(service, scheme, index + 1));
  const clusters = [
    compositeCluster(service.name, openMembers(service, scheme), scheme),
    ...lanes,
    baselineCluster(service, scheme),
  ];
  if (scheme.stages > 1) {
    clusters.push(compositeCluster(`${service.name}.closed`, closedMembers(service, scheme), scheme));
  }
  return clusters;
}

/** The endpoints of each of {@link serviceClusters}' clusters that has some, as Envoy's ClusterLoadAssignment. */
export function serviceEndpoints(service: LaneService, scheme: LaneScheme): LoadAssignment[] {
  const stages = scheme.composite === false ? 1 : scheme.stages;
  const all = Array.from({ length: stages }, (_, index) =>
    loadAssignment(stageCluster(service.name, index + 1), service.instances, stageKey(index + 1)),
  );
  if (scheme.composite === false) return all;
  return [...all, loadAssignment(`${service.name}.baseline`, baselineInstances(service, scheme), 'last')];
}

export function baselineInstances(service: LaneService, scheme: LaneScheme): LaneInstance[] {
  return service.instances.filter((instance) => instance.lane === scheme.baseline);
}

/**
 * `envoy.lb` holds what subsets are made of; a lane's name is under the stage's own key alone, so that the filter sees
 * by it which stage answered. `causeway` holds the same lane for access logs and response headers of any stage.
 */
function loadAssignment(cluster: string, instances: readonly LaneInstance[], key: string): LoadAssignment {
  const endpoints = instances.map((instance) => ({
    endpoint: { address: socketAddress(instance.address, instance.ports.inbound) },
    load_balancing_weight: instance.weight,
    metadata: {
      filter_metadata: {
        'envoy.lb': {
          [key]: instance.lane,
          instance: instance.id,
          ...(instance.shard === undefined ? {} : { shard: String(instance.shard) }),
        },
        causeway: { lane: instance.lane, instance: instance.id },
      },
    },
  }));
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: endpoints }] };
}

export function socketAddress(address: string, port: number): JsonObject {
  return { socket_address: { address, port_value: port } };
}

function compositeCluster(name: string, members: readonly string[], scheme: LaneScheme): Cluster {
  return {
    name,
    alt_stat_name: statName(name),
    connect_timeout: seconds(scheme.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: {
      name: 'envoy.clusters.composite',
      typed_config: {
        '@type': `${TYPE}.clusters.composite.v3.ClusterConfig`,
        clusters: members.map((member) => ({ name: member })),
      },
    },
    circuit_breakers: circuitBreakers(scheme),
  };
}

function lanesCluster(service: LaneService, scheme: LaneScheme, stage: number): Cluster {
  const key = stageKey(stage);
  const selector = (...keys: string[]) => ({ keys, fallback_policy: 'NO_FALLBACK' });
  const subsets = {
    fallback_policy: 'NO_FALLBACK',
    metadata_fallback_policy: 'FALLBACK_LIST',
    // A pin uses a subset of one host, not `single_host_per_subset`, which hands out hosts that fail their health check.
    subset_selectors: [
      selector(key),
      ...(service.shards > 0 ? [selector(key, 'shard')] : []),
      ...(scheme.pins && stage === 1 ? [selector('instance')] : []),
    ],
  };
  const name = stageCluster(service.name, stage);
  const balanced = service.healing
    ? overridable(service.lb, subsets, slowStart(scheme))
    : { ...loadBalancing(service, scheme), lb_subset_config: subsets };
  return {
    ...memberCluster(service, scheme, name, service.instances, key, 1, balanced),
    // A host that fails its check is never tried for want of better: the chain goes on instead.
    common_lb_config: balancing(0),
  };
}

function baselineCluster(service: LaneService, scheme: LaneScheme): Cluster {
  const instances = baselineInstances(service, scheme);
  const balanced = service.healing ? overridable(service.lb, null, slowStart(scheme)) : loadBalancing(service, scheme);
  return {
    ...memberCluster(service, scheme, `${service.name}.baseline`, instances, 'last', LAST_RESORT_INTERVALS, balanced),
    // Below 1 % healthy, that is with none, all are tried: behind the last resort there is nothing to spare them for.
    common_lb_config: balancing(1),
  };
}

/**
 * By default Envoy holds changes of health back for up to a second after the one before, so that a host which fails
 * or returns then is noticed that much later than its check says.
 */
export function balancing(panicThreshold: number): JsonObject {
  return { healthy_panic_threshold: { value: panicThreshold }, update_merge_window: seconds(MERGE_WINDOW_MS) };
}

export function memberCluster(
  service: LaneService,
  scheme: LaneScheme,
  name: string,
  instances: readonly LaneInstance[],
  key: string,
  intervals: number,
  balanced: JsonObject,
): Cluster {
  return {
    name,
    alt_stat_name: statName(name),
    connect_timeout: seconds(scheme.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    ...endpointSource(name, instances, key, scheme),
    ...balanced,
    health_checks: [activeCheck(service, intervals)],
    // Envoy would go on choosing a host that has been taken off the endpoints until its check fails, that is, until it is gone.
    ignore_health_on_host_removal: true,
    outlier_detection: OUTLIERS,
    circuit_breakers: circuitBreakers(scheme),
    typed_extension_protocol_options: httpProtocol(service),
  };
}

function endpointSource(name: string, instances: readonly LaneInstance[], key: string, scheme: LaneScheme): JsonObject {
  if (scheme.eds) return { type: 'EDS', eds_cluster_config: { service_name: name, eds_config: scheme.eds(name) } };
  return { type: 'STATIC', load_assignment: loadAssignment(name, instances, key) };
}

export function loadBalancing(service: LaneService, scheme: LaneScheme): JsonObject {
  const start = slowStart(scheme);
  const growing = Object.keys(start).length > 0;
  switch (service.lb.policy) {
    case 'round_robin':
      return { lb_policy: 'ROUND_ROBIN', ...(growing ? { round_robin_lb_config: start } : {}) };
    case 'least_request':
      return { lb_policy: 'LEAST_REQUEST', ...(growing ? { least_request_lb_config: start } : {}) };
    case 'random':
      return { lb_policy: 'RANDOM' };
    case 'ring_hash':
      return { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 1024 } };
    case 'maglev':
      // Subsets are small; Envoy's default table of 65,537 entries for each would be 512 KiB a lane and worker.
      return { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 2039 } };
  }
}

/** Of the policies that weigh hosts: a host's weight grows in a straight line from the check on that it first passes. */
function slowStart(scheme: LaneScheme): JsonObject {
  const { warmUpMs = 0 } = scheme;
  if (warmUpMs === 0) return {};
  return { slow_start_config: { slow_start_window: seconds(warmUpMs), min_weight_percent: { value: 5 } } };
}

/**
 * Only connections that fail eject a host: a host that answers, with whatever status, is the application's business.
 * Single-host lanes must be ejectable, hence 100 %; a passed health check brings a host back at once.
 */
const OUTLIERS: JsonObject = {
  split_external_local_origin_errors: true,
  consecutive_local_origin_failure: 3,
  enforcing_consecutive_local_origin_failure: 100,
  enforcing_local_origin_success_rate: 0,
  enforcing_consecutive_5xx: 0,
  enforcing_consecutive_gateway_failure: 0,
  enforcing_success_rate: 0,
  enforcing_failure_percentage: 0,
  enforcing_failure_percentage_local_origin: 0,
  base_ejection_time: '1s',
  max_ejection_time: '5s',
  max_ejection_percent: 100,
};

function activeCheck(service: LaneService, intervals: number): JsonObject {
  const check = service.healthCheck;
  const interval = seconds(check.intervalMs * intervals);
  return {
    timeout: seconds(check.timeoutMs),
    interval,
    // Without it a cluster that has no traffic yet checks every 60 s, and a host stays dead that long.
    no_traffic_interval: interval,
    unhealthy_threshold: check.unhealthyThreshold,
    healthy_threshold: check.healthyThreshold,
    http_health_check: {
      path: check.path,
      codec_client_type: service.protocol === 'http1' ? 'HTTP1' : 'HTTP2',
      // A check that is refused would take an instance out for being busy.
      ...(service.overload || service.limits
        ? { request_headers_to_add: [{ header: { key: CLASS, value: '0' } }] }
        : {}),
    },
  };
}

/** Longest time in milliseconds that a host which stopped answering goes on being chosen. */
export function healthCheckBoundMs(check: HealthCheck): number {
  return check.unhealthyThreshold * (check.intervalMs + check.timeoutMs) + MERGE_WINDOW_MS;
}

/**
 * A composite cluster holds no requests itself, so the percentage of a retry budget counts nothing there and its
 * `min_retry_concurrency` alone decides (measured). It is therefore set to that percentage of the requests that the
 * service may have at all.
 */
function circuitBreakers(scheme: LaneScheme): JsonObject {
  const maxRequests = scheme.maxRequests ?? MAX_REQUESTS;
  const percent = scheme.retryPercent ?? RETRY_PERCENT;
  return {
    thresholds: [
      {
        max_connections: maxRequests,
        max_pending_requests: maxRequests,
        max_requests: maxRequests,
        retry_budget: {
          budget_percent: { value: percent },
          min_retry_concurrency: Math.max(1, Math.floor((maxRequests * percent) / 100)),
        },
      },
    ],
  };
}

function httpProtocol(service: LaneService): JsonObject {
  const config = service.protocol === 'http1' ? { http_protocol_options: {} } : { http2_protocol_options: {} };
  return {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: config,
      ...(service.overload || service.limits ? { outlier_detection: { error_matcher: FAULTS } } : {}),
    },
  };
}

/** Answers that count against a host: 5xx, but not what its proxy has shed or limited. */
const FAULTS: JsonObject = {
  and_match: {
    rules: [
      headersMatch({ name: ':status', range_match: { start: 500, end: 600 } }),
      { not_match: headersMatch({ name: SHED, present_match: true }) },
      { not_match: headersMatch({ name: 'x-envoy-ratelimited', present_match: true }) },
    ],
  },
};

function headersMatch(header: JsonObject): JsonObject {
  return { http_response_headers_match: { headers: [header] } };
}

/** Name in stats: Envoy's tag extraction takes a cluster's name up to its first dot. */
function statName(name: string): string {
  return name.replaceAll('.', '_');
}

export function seconds(milliseconds: number): string {
  return `${milliseconds / 1000}s`;
}

/** The plain cluster of one lane of a service, to which its sidecars' provider-side redirect forwards. */
export function unitCluster(service: LaneService, unit: string, scheme: LaneScheme): Cluster {
  const instances = service.instances.filter((instance) => instance.lane === unit);
  const name = unitClusterName(service.name, unit);
  return {
    ...memberCluster(service, scheme, name, instances, 'lane', 1, loadBalancing(service, scheme)),
    common_lb_config: balancing(1),
  };
}

export function unitClusterName(service: string, unit: string): string {
  return `${service}.unit.${unit}`;
}

/** Endpoints of {@link unitCluster}. */
export function unitEndpoints(service: LaneService, unit: string): LoadAssignment {
  const instances = service.instances.filter((instance) => instance.lane === unit);
  return loadAssignment(unitClusterName(service.name, unit), instances, 'lane');
}
