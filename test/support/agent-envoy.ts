import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createSocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentFields, cpuMonitor, socketFile } from '../../envoy-configs/agent.ts';
import type { AgentSettings, JsonObject } from '../../envoy-configs/mesh.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';

export interface AgentEnvoyOptions {
  /** Module with the root ids `agent` and `reader`; see test/plugins/agent-reader.ts. */
  readonly module: string;
  /** Null: an Envoy without an agent, to compare with. */
  readonly agent: AgentSettings | null;
  /** Clusters that the filter wants. */
  readonly wanted: readonly string[];
  /** Further clusters, Envoy v3 JSON. */
  readonly clusters?: readonly JsonObject[];
  readonly concurrency?: number;
}

const TYPE = 'type.googleapis.com/envoy.extensions';

/** A stock Envoy with the agent as the builders render it, and a filter that shows in its answers what workers know. */
export class AgentEnvoy {
  readonly envoy: Envoy;
  readonly url: string;
  readonly #folder: string;
  readonly #door: Door;
  readonly #app: Server;

  private constructor(envoy: Envoy, url: string, folder: string, door: Door, app: Server) {
    this.envoy = envoy;
    this.url = url;
    this.#folder = folder;
    this.#door = door;
    this.#app = app;
  }

  static async start(options: AgentEnvoyOptions): Promise<AgentEnvoy> {
    const folder = await mkdtemp(join(tmpdir(), 'agent-'));
    const app = await echo();
    const adminSocket = join(folder, 'admin.sock');
    const door = await Door.open(join(folder, 'door.sock'), adminSocket);
    const config = join(folder, 'envoy.json');
    await writeFile(
      config,
      JSON.stringify(bootstrap(options, adminSocket, door.path, (app.address() as AddressInfo).port)),
    );
    const envoy = await startEnvoy({
      name: 'agent',
      binary: (await resolveEnvoy()).path,
      config,
      adminSocket,
      logPath: join(folder, 'envoy.log'),
      concurrency: options.concurrency ?? 1,
    });
    const { body } = await envoy.admin.get('/listeners?format=json');
    const listeners = JSON.parse(body) as {
      listener_statuses: { local_address: { socket_address: { port_value: number } } }[];
    };
    const port = listeners.listener_statuses[0]?.local_address.socket_address.port_value ?? 0;
    return new AgentEnvoy(envoy, `http://127.0.0.1:${port}/`, folder, door, app);
  }

  /** What a worker knows, by header name without its `x-`. */
  async knows(): Promise<Record<string, string>> {
    const answer = await fetch(this.url, { signal: AbortSignal.timeout(5_000) });
    const headers = (await answer.json()) as Record<string, string>;
    return Object.fromEntries(
      Object.entries(headers).flatMap(([name, value]) => (name.startsWith('x-') ? [[name.slice(2), value]] : [])),
    );
  }

  /** From now on the agent cannot reach the admin, or can again. */
  async reachAdmin(reach: boolean): Promise<void> {
    await this.#door.set(reach);
  }

  async gauge(name: string): Promise<number | undefined> {
    const { body } = await this.envoy.admin.get(`/stats?filter=wasmcustom.${name.replaceAll('.', '\\.')}$`);
    const value = /: (\d+)\n?$/.exec(body)?.[1];
    return value === undefined ? undefined : Number(value);
  }

  /** Nanoseconds that Envoy's main thread has run. */
  async mainThreadNs(): Promise<bigint> {
    const pid = this.envoy.child.pid;
    return BigInt((await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ')[0] ?? 0);
  }

  async stop(): Promise<void> {
    await this.envoy.stop();
    await this.#door.close();
    this.#app.closeAllConnections();
    this.#app.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Answers every request with its own headers as JSON. */
function echo(): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(request.headers));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

/** A Unix socket that leads to another one, and can be shut. */
class Door {
  readonly path: string;
  readonly #to: string;
  readonly #open = new Set<Socket>();
  readonly #server = createSocketServer((socket) => this.#pass(socket));
  #reach = true;

  private constructor(path: string, to: string) {
    this.path = path;
    this.#to = to;
  }

  static async open(path: string, to: string): Promise<Door> {
    const door = new Door(path, to);
    await new Promise<void>((resolve) => {
      door.#server.listen(path, resolve);
    });
    return door;
  }

  async set(reach: boolean): Promise<void> {
    this.#reach = reach;
    if (!reach) for (const socket of this.#open) socket.destroy();
  }

  close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #pass(socket: Socket): void {
    if (!this.#reach) {
      socket.destroy();
      return;
    }
    const inner = connect(this.#to);
    for (const end of [socket, inner]) {
      this.#open.add(end);
      end.on('error', () => undefined);
      end.on('close', () => {
        this.#open.delete(end);
        socket.destroy();
        inner.destroy();
      });
    }
    socket.pipe(inner).pipe(socket);
  }
}

function bootstrap(options: AgentEnvoyOptions, adminSocket: string, door: string, appPort: number): JsonObject {
  const text = (value: string) => ({ '@type': 'type.googleapis.com/google.protobuf.StringValue', value });
  const fields =
    options.agent === null ? {} : agentFields(options.agent, { admin: socketFile(door), wasmPath: options.module });
  const { static_resources: resources, ...rest } = fields as { static_resources?: { clusters: JsonObject[] } };
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'in',
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] }],
    },
    http_filters: [
      {
        name: 'reader',
        typed_config: {
          '@type': `${TYPE}.filters.http.wasm.v3.Wasm`,
          config: {
            name: 'reader',
            root_id: 'reader',
            configuration: text(options.wanted.join('\n')),
            vm_config: {
              vm_id: 'causeway',
              runtime: 'envoy.wasm.runtime.v8',
              code: { local: { filename: options.module } },
              configuration: text('outbound'),
            },
          },
        },
      },
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } },
    ],
  };
  return {
    admin: { address: { pipe: { path: adminSocket } } },
    node: { id: 'agent', cluster: 'agent' },
    // As the builders render it, for hosts with an address; the admin's has none.
    cluster_manager: { upstream_bind_config: { source_address: { address: '127.0.0.1', port_value: 0 } } },
    overload_manager: {
      refresh_interval: '0.25s',
      resource_monitors: [cpuMonitor(options.agent ?? { intervalMs: 1000, mainThreadPercent: 1, cpu: 'host' })],
    },
    ...rest,
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        staticCluster('app', [{ port: appPort }]),
        ...(resources?.clusters ?? []),
        ...(options.clusters ?? []),
      ],
    },
  };
}

/** A cluster of fixed hosts; with `check` Envoy checks their health every 200 ms. */
export function staticCluster(
  name: string,
  hosts: readonly { readonly address?: string; readonly port: number }[],
  check = false,
): JsonObject {
  const hosted = hosts.map(({ address = '127.0.0.1', port }) => ({
    endpoint: { address: { socket_address: { address, port_value: port } } },
  }));
  const checks = {
    health_checks: [
      {
        timeout: '1s',
        interval: '0.2s',
        no_traffic_interval: '0.2s',
        unhealthy_threshold: 1,
        healthy_threshold: 1,
        http_health_check: { path: '/' },
      },
    ],
  };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: hosted }] },
    ...(check ? checks : {}),
  };
}
