import { request } from 'node:http';

export interface AdminAnswer {
  status: number;
  body: string;
}

/** One host of a cluster as `/clusters?format=json` shows it. */
export interface HostStatus {
  cluster: string;
  address: string;
  port: number;
  /** Envoy's health flags that are set, such as `failed_active_health_check`; empty = healthy. */
  unhealthy: string[];
  stats: Record<string, number>;
}

/** Envoy's admin interface, reached over its Unix socket: no TCP port is open, so no proxied request can reach it. */
export class EnvoyAdmin {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  get(path: string, timeoutMs = 5_000): Promise<AdminAnswer> {
    return this.call('GET', path, timeoutMs);
  }

  /** Envoy wants POST for everything that changes it. */
  post(path: string, timeoutMs = 5_000): Promise<AdminAnswer> {
    return this.call('POST', path, timeoutMs);
  }

  /** True once Envoy says LIVE: initialised, warmed, listening. */
  async ready(timeoutMs = 1_000): Promise<boolean> {
    return (await this.get('/ready', timeoutMs)).status === 200;
  }

  /** Counters and gauges whose name matches the RE2 expression (all without one). */
  async stats(filter?: string, timeoutMs?: number): Promise<Map<string, number>> {
    const query = filter === undefined ? '' : `&filter=${encodeURIComponent(filter)}`;
    const body = await this.text(`/stats?format=json&histogram_buckets=none${query}`, timeoutMs);
    const parsed = JSON.parse(body) as { stats: { name?: string; value?: number }[] };
    const result = new Map<string, number>();
    for (const { name, value } of parsed.stats) {
      if (name !== undefined && typeof value === 'number') result.set(name, value);
    }
    return result;
  }

  prometheus(): Promise<string> {
    return this.text('/stats/prometheus');
  }

  async hosts(cluster?: string): Promise<HostStatus[]> {
    const query = cluster === undefined ? '' : `&filter=${encodeURIComponent(`^${cluster}$`)}`;
    const parsed = JSON.parse(await this.text(`/clusters?format=json${query}`)) as ClustersDump;
    const result: HostStatus[] = [];
    for (const entry of parsed.cluster_statuses ?? []) {
      for (const host of entry.host_statuses ?? []) {
        const { eds_health_status, ...flags } = host.health_status ?? {};
        const unhealthy = Object.keys(flags).filter((flag) => flags[flag]);
        if (eds_health_status !== undefined && eds_health_status !== 'HEALTHY')
          unhealthy.push(`eds_${eds_health_status}`);
        result.push({
          cluster: entry.name,
          address: host.address?.socket_address?.address ?? '',
          port: host.address?.socket_address?.port_value ?? 0,
          unhealthy,
          stats: Object.fromEntries((host.stats ?? []).map((stat) => [stat.name, Number(stat.value ?? 0)])),
        });
      }
    }
    return result;
  }

  /** `/config_dump`, with its query string if given, such as `resource=dynamic_listeners`. */
  async configDump(query?: string): Promise<unknown> {
    return JSON.parse(await this.text(query === undefined ? '/config_dump' : `/config_dump?${query}`));
  }

  private async text(path: string, timeoutMs?: number): Promise<string> {
    const answer = await this.get(path, timeoutMs);
    if (answer.status !== 200) throw new Error(`admin ${path}: status ${answer.status}: ${answer.body.slice(0, 200)}`);
    return answer.body;
  }

  private call(method: string, path: string, timeoutMs: number): Promise<AdminAnswer> {
    return new Promise((resolve, reject) => {
      const options = {
        socketPath: this.socketPath,
        method,
        path,
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
      };
      const call = request(options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
        answer.on('error', reject);
      });
      call.on('error', (error) => reject(new Error(`admin ${this.socketPath} ${path}: ${error.message}`)));
      call.end();
    });
  }
}

interface ClustersDump {
  cluster_statuses?: {
    name: string;
    host_statuses?: {
      address?: { socket_address?: { address: string; port_value: number } };
      health_status?: Record<string, unknown> & { eds_health_status?: string };
      stats?: { name: string; value?: string }[];
    }[];
  }[];
}
