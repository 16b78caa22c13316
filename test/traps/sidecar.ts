import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wasmExtension } from '../../envoy-configs/filters.ts';
import type { JsonObject } from '../../envoy-configs/mesh.ts';
import type { Role } from '../../envoy-configs/rendered.ts';
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

const ADMIN_SOCKET = 'admin.sock';
const ACCESS_LOG = 'access.log';
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';

/** One request as Envoy's access log tells it; milliseconds of the Unix epoch. */
export interface Logged {
  readonly role: TrapRole;
  /** When its first byte was there. */
  readonly start: number;
  readonly end: number;
  readonly status: number;
  /** It was sent to trap the VM. */
  readonly trap: boolean;
}

export class TrapSidecar {
  readonly #envoy: Envoy;
  readonly #folder: string;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(envoy: Envoy, folder: string, ports: ReadonlyMap<string, number>) {
    this.#envoy = envoy;
    this.#folder = folder;
    this.#ports = ports;
  }

  /** One worker, so that all streams of a role are in one VM; filters and failure policy are those of the mesh. */
  static async start(module: string): Promise<TrapSidecar> {
    const folder = await mkdtemp(join(tmpdir(), 'cw-traps-'));
    try {
      const adminSocket = join(folder, ADMIN_SOCKET);
      const config = join(folder, 'envoy.json');
      await writeFile(config, bootstrap(module, folder));
      const { path: binary } = await resolveEnvoy();
      const logPath = join(folder, 'envoy.log');
      const envoy = await startEnvoy({
        name: 'traps',
        binary,
        config,
        adminSocket,
        logPath,
        concurrency: 1,
        args: ['--file-flush-interval-msec', '100'],
      });
      const { body } = await envoy.admin.get('/listeners?format=json');
      const { listener_statuses: statuses } = JSON.parse(body) as ListenersDump;
      const ports = statuses.flatMap(({ name, local_address: { socket_address: socket } }) =>
        socket === undefined ? [] : [[name, socket.port_value] as const],
      );
      return new TrapSidecar(envoy, folder, new Map(ports));
    } catch (error) {
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

  /**
   * Every request that has ended, in Envoy's own time: on a busy machine the client's would show its own waiting. Complete
   * a flush interval after the last answer.
   */
  async requests(): Promise<Logged[]> {
    const lines = (await readFile(join(this.#folder, ACCESS_LOG), 'utf8')).split('\n').filter((line) => line !== '');
    return lines.map((line) => {
      const { role, start, micros, status, trap } = JSON.parse(line) as LogLine;
      const began = Number(start) * 1_000;
      return { role, start: began, end: began + Number(micros) / 1_000, status, trap: trap !== null };
    });
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
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface LogLine {
  role: TrapRole;
  start: string;
  micros: number | string;
  status: number;
  trap: string | null;
}

interface ListenersDump {
  listener_statuses: { name: string; local_address: { socket_address?: { port_value: number } } }[];
}

function bootstrap(module: string, folder: string): string {
  const application = { pipe: { path: join(folder, 'application') } };
  const chains = ROLES.map((role) => {
    const wasm = wasmExtension(role, module, sections(role, SMALL) as JsonObject);
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'application' } }];
    return listener(role, loopback(0), [wasm], routes, accessLog(role, join(folder, ACCESS_LOG)));
  });
  const answer = { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'done' } } };
  return JSON.stringify({
    admin: { address: { pipe: { path: join(folder, ADMIN_SOCKET), mode: 0o600 } } },
    node: { id: 'traps', cluster: 'traps' },
    static_resources: {
      listeners: [...chains, listener('application', application, [work()], [answer], [])],
      clusters: [
        {
          name: 'application',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'application',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: application } }] }],
          },
        },
      ],
    },
  });
}

/** The application is Envoy itself, which holds every request for a while. */
function work(): object {
  const delay = { fixed_delay: `${WORK_MS / 1_000}s`, percentage: { numerator: 100 } };
  return { name: 'work', typed_config: { '@type': `${HTTP}.fault.v3.HTTPFault`, delay } };
}

function accessLog(role: TrapRole, path: string): object[] {
  const fields = {
    role,
    start: '%START_TIME(%s.%6f)%',
    micros: '%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%',
    status: '%RESPONSE_CODE%',
    trap: `%REQ(${TRIGGER})%`,
  };
  const type = 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog';
  return [{ name: 'file', typed_config: { '@type': type, path, log_format: { json_format: fields } } }];
}

function listener(
  name: string,
  address: object,
  filters: readonly object[],
  routes: readonly object[],
  log: readonly object[],
): object {
  const manager = {
    '@type': HCM,
    stat_prefix: name,
    generate_request_id: false,
    access_log: log,
    route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
    http_filters: [...filters, { name: 'router', typed_config: { '@type': `${HTTP}.router.v3.Router` } }],
  };
  return { name, address, filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }] };
}

function loopback(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
