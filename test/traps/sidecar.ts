import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripFilter, wasmExtension } from '../../envoy-configs/filters.ts';
import type { JsonObject, Role } from '../../envoy-configs/mesh.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';
import { SMALL, sections } from '../bench/profiles.ts';

/** A sidecar whose VMs can be made to trap, in front of an application that takes its time. */

/** A request with this header traps the VM that gets it. */
export const TRIGGER = 'x-test-trap';
export const ROLES = ['inbound', 'outbound'] as const satisfies readonly Role[];
export type TrapRole = (typeof ROLES)[number];

/** How long the application works on a request: at 250 requests/s a role has about five in flight. */
export const WORK_MS = 20;

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

export class TrapSidecar {
  readonly #envoy: Envoy;
  readonly #application: Server;
  readonly #folder: string;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(envoy: Envoy, application: Server, folder: string, ports: ReadonlyMap<string, number>) {
    this.#envoy = envoy;
    this.#application = application;
    this.#folder = folder;
    this.#ports = ports;
  }

  /** One worker, so that all streams of a role are in one VM; filters and failure policy are those of the mesh. */
  static async start(module: string): Promise<TrapSidecar> {
    const folder = await mkdtemp(join(tmpdir(), 'cw-traps-'));
    const application = createServer((_request, response) => {
      setTimeout(() => response.end('{"ok":true}'), WORK_MS);
    });
    application.keepAliveTimeout = 60_000;
    await new Promise<void>((done) => application.listen(0, '127.0.0.1', done));
    try {
      const adminSocket = join(folder, 'admin.sock');
      const config = join(folder, 'envoy.json');
      await writeFile(config, bootstrap(module, adminSocket, (application.address() as AddressInfo).port));
      const { path: binary } = await resolveEnvoy();
      const logPath = join(folder, 'envoy.log');
      const envoy = await startEnvoy({ name: 'traps', binary, config, adminSocket, logPath, concurrency: 1 });
      const { body } = await envoy.admin.get('/listeners?format=json');
      const { listener_statuses: statuses } = JSON.parse(body) as ListenersDump;
      const ports = statuses.map((one) => [one.name, one.local_address.socket_address.port_value] as const);
      return new TrapSidecar(envoy, application, folder, new Map(ports));
    } catch (error) {
      application.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  target(role: TrapRole): string {
    return `http://127.0.0.1:${this.#ports.get(role)}`;
  }

  /** Resident memory, bytes. */
  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#envoy.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  /** Seconds since the role's VM last ticked, as its gauge tells; infinite before the first tick. */
  async heartbeatAge(role: TrapRole): Promise<number> {
    const stats = await this.#envoy.admin.stats(`causeway_heartbeat_seconds\\.role\\.${role}`);
    return Date.now() / 1_000 - Math.max(Number.NEGATIVE_INFINITY, ...stats.values());
  }

  /** How often a VM of the role was configured: once per thread at the start, and at each reload. */
  async configured(role: TrapRole): Promise<number> {
    const stats = await this.#envoy.admin.stats(`causeway_vm_configured_total\\.role\\.${role}`);
    return [...stats.values()].reduce((sum, value) => sum + value, 0);
  }

  async stop(): Promise<void> {
    await this.#envoy.stop(2_000);
    this.#application.closeAllConnections();
    this.#application.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface ListenersDump {
  listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
}

function bootstrap(module: string, adminSocket: string, applicationPort: number): string {
  return JSON.stringify({
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
    node: { id: 'traps', cluster: 'traps' },
    static_resources: {
      listeners: ROLES.map((role) => listener(role, wasmExtension(role, module, sections(role, SMALL) as JsonObject))),
      clusters: [
        {
          name: 'application',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'application',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(applicationPort) } }] }],
          },
        },
      ],
    },
  });
}

function listener(role: TrapRole, wasm: JsonObject): object {
  const manager = {
    '@type': HCM,
    stat_prefix: role,
    generate_request_id: false,
    route_config: {
      name: role,
      virtual_hosts: [
        { name: role, domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'application' } }] },
      ],
    },
    http_filters: [stripFilter(role), wasm, { name: 'router', typed_config: { '@type': ROUTER } }],
  };
  return {
    name: role,
    address: loopback(0),
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
  };
}

function loopback(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
