import { join } from 'node:path';
import { type HttpFilter, listener, plainCluster, plainRoute, wasmFilter } from '../bench/config.ts';

/** One way to protect an application, as a chain of stock Envoy: its filters, and the limits of the cluster behind it. */
export interface Protection {
  readonly name: string;
  readonly filters: readonly HttpFilter[];
  /** `max_requests` of the cluster; null = out of the way. */
  readonly maxRequests: number | null;
}

/** Names that figures and targets refer to. */
export const PEERS = {
  none: 'no protection',
  concurrency: 'adaptive_concurrency',
  admission: 'admission_control',
  breaker: 'circuit breaker',
} as const;

const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const OUT_OF_THE_WAY = 100_000;

/** Settings as in the example of Envoy's documentation. */
const adaptiveConcurrency: HttpFilter = {
  name: 'envoy.filters.http.adaptive_concurrency',
  typed_config: {
    '@type': `${HTTP}.adaptive_concurrency.v3.AdaptiveConcurrency`,
    gradient_controller_config: {
      sample_aggregate_percentile: { value: 90 },
      concurrency_limit_params: { concurrency_update_interval: '0.1s' },
      min_rtt_calc_params: { jitter: { value: 10 }, interval: '60s', request_count: 50 },
    },
    enabled: { default_value: true, runtime_key: 'bench.adaptive_concurrency' },
  },
};

/** The documentation's example with a window short enough to act within a run. */
const admissionControl: HttpFilter = {
  name: 'envoy.filters.http.admission_control',
  typed_config: {
    '@type': `${HTTP}.admission_control.v3.AdmissionControl`,
    enabled: { default_value: true, runtime_key: 'bench.admission_control' },
    sampling_window: '5s',
    sr_threshold: { default_value: { value: 95 }, runtime_key: 'bench.sr_threshold' },
    aggression: { default_value: 1.5, runtime_key: 'bench.aggression' },
    rps_threshold: { default_value: 5, runtime_key: 'bench.rps_threshold' },
    max_rejection_probability: { default_value: { value: 95 }, runtime_key: 'bench.max_rejection' },
    success_criteria: { http_criteria: { http_success_status: [{ start: 100, end: 500 }] } },
  },
};

/** Requests in flight that keep a first-come-first-served application busy with about 15 ms of queue: what a person would set who knew it. */
export function tunedMaxRequests(capacity: number, slots: number): number {
  return Math.max(slots + 1, Math.round(slots + capacity * 0.015));
}

/** What stock Envoy offers, `capacity` and `slots` being those of the application. */
export function stockProtections(capacity: number, slots: number): Protection[] {
  return [
    { name: PEERS.none, filters: [], maxRequests: null },
    { name: PEERS.concurrency, filters: [adaptiveConcurrency], maxRequests: null },
    { name: PEERS.admission, filters: [admissionControl], maxRequests: null },
    { name: PEERS.breaker, filters: [], maxRequests: tunedMaxRequests(capacity, slots) },
  ];
}

/** The shipped module's filter alone; T2 from the application's header or inferred. */
export function shedding(name: string, queueTime: 'header' | 'none'): Protection {
  const filter = wasmFilter({
    file: join(import.meta.dirname, '../../build/causeway.wasm'),
    rootId: 'overload-shedding',
    vmId: 'bench-overload',
    role: 'inbound',
    configuration: { direction: 'inbound', queueTime },
  });
  return { name, filters: [filter], maxRequests: null };
}

export interface Ports {
  readonly proxy: number;
  readonly app: number;
}

/** Envoy between the callers and the application. */
export function protectedChain(protection: Protection, ports: Ports, address: string): object {
  const { filters, maxRequests } = protection;
  const limits = { max_connections: OUT_OF_THE_WAY, max_pending_requests: OUT_OF_THE_WAY };
  const cluster = {
    ...plainCluster('app', ports.app, [address]),
    circuit_breakers: { thresholds: [{ ...limits, max_requests: maxRequests ?? OUT_OF_THE_WAY }] },
  };
  return {
    node: { id: 'bench-overload', cluster: 'bench-overload' },
    static_resources: {
      listeners: [listener({ name: 'app', port: ports.proxy, filters, routes: [plainRoute('app')] }, address)],
      clusters: [cluster],
    },
  };
}
