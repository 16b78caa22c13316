/** Answers as Envoy 1.40's admin gives them: pretty-printed, numbers of 64 bits as text, what is zero left out. */
export interface AdminHost {
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
  readonly weight?: number;
  readonly priority?: number;
  readonly health?: Readonly<Record<string, unknown>>;
  readonly stats?: Readonly<Record<string, number>>;
}

const COUNTERS = ['cx_connect_fail', 'cx_total', 'rq_error', 'rq_success', 'rq_timeout', 'rq_total'] as const;
const GAUGES = ['cx_active', 'rq_active', 'rq_pending_active'] as const;

/** `/clusters?format=json` about one cluster. */
export function clustersAnswer(name: string, hosts: readonly AdminHost[]): string {
  return JSON.stringify(
    { cluster_statuses: [{ name, host_statuses: hosts.map(hostStatus), ...CLUSTER_REST }] },
    null,
    1,
  );
}

const CLUSTER_REST = {
  circuit_breakers: {
    thresholds: [
      { max_connections: 1024, max_retries: 3 },
      { priority: 'HIGH', max_requests: 1024 },
    ],
  },
  observability_name: 'x',
};

function hostStatus(host: AdminHost): unknown {
  const value = (name: string) => {
    const count = host.stats?.[name] ?? 0;
    return count === 0 ? {} : { value: String(count) };
  };
  return {
    address:
      host.path === undefined
        ? { socket_address: { address: host.address ?? '127.0.0.1', port_value: host.port ?? 80 } }
        : { pipe: { path: host.path } },
    stats: [
      ...COUNTERS.map((name) => ({ ...value(name), name })),
      ...GAUGES.map((name) => ({ type: 'GAUGE', ...value(name), name })),
    ],
    health_status: { ...host.health, eds_health_status: host.health?.eds_health_status ?? 'HEALTHY' },
    weight: host.weight ?? 1,
    ...(host.priority === undefined ? {} : { priority: host.priority }),
    locality: {},
  };
}

/** `/stats` about CPU pressure in whole percent. */
export function pressureAnswer(percent: number | string): string {
  return `overload.envoy.resource_monitors.cpu_utilization.pressure: ${percent}\n`;
}
