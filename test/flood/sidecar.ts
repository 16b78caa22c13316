import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';

/** One Envoy on a bootstrap whose listeners have port 0. */
export class StartedEnvoy {
  readonly #envoy: Envoy;
  readonly #folder: string;
  /** Listener name → the port that the kernel chose. */
  readonly ports: ReadonlyMap<string, number>;

  private constructor(envoy: Envoy, folder: string, ports: ReadonlyMap<string, number>) {
    this.#envoy = envoy;
    this.#folder = folder;
    this.ports = ports;
  }

  /** `bootstrap` gets the path of the admin socket. Throws with Envoy's log when it does not become ready. */
  static async start(bootstrap: (adminSocket: string) => string, concurrency: number): Promise<StartedEnvoy> {
    const folder = await mkdtemp(join(tmpdir(), 'cw-flood-'));
    const adminSocket = join(folder, 'admin.sock');
    const config = join(folder, 'envoy.yaml');
    try {
      await writeFile(config, bootstrap(adminSocket));
      const binary = (await resolveEnvoy()).path;
      const logPath = join(folder, 'envoy.log');
      const envoy = await startEnvoy({ name: 'flood', binary, config, adminSocket, logPath, concurrency });
      try {
        return new StartedEnvoy(envoy, folder, await listenerPorts(envoy));
      } catch (error) {
        await envoy.stop(500);
        throw error;
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  port(listener: string): number {
    const port = this.ports.get(listener);
    if (port === undefined)
      throw new Error(`found listeners ${[...this.ports.keys()].join(', ')}, expected ${listener}`);
    return port;
  }

  /** Bytes that Envoy has allocated: what the gauge `server.memory_allocated` shows, as of now. */
  async allocatedBytes(): Promise<number> {
    const { body } = await this.#envoy.admin.get('/memory');
    return Number((JSON.parse(body) as { allocated: string }).allocated);
  }

  /** A metric of trace-propagation by the end of its name; 0 before it was counted. */
  async metric(name: string): Promise<number> {
    const full = `wasmcustom.causeway_trace_propagation_${name}`;
    return (await this.#envoy.admin.stats('^wasmcustom\\.causeway_trace_propagation_')).get(full) ?? 0;
  }

  /** Connections that are open, from clients and to the application. */
  async openConnections(): Promise<number> {
    const stats = await this.#envoy.admin.stats('_cx_active$');
    const names = [
      'http.inbound.downstream_cx_active',
      'http.outbound.downstream_cx_active',
      'cluster.app.upstream_cx_active',
    ];
    return names.reduce((sum, name) => sum + (stats.get(name) ?? 0), 0);
  }

  async stop(): Promise<void> {
    await this.#envoy.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function listenerPorts(envoy: Envoy): Promise<Map<string, number>> {
  const { body } = await envoy.admin.get('/listeners?format=json');
  const { listener_statuses } = JSON.parse(body) as {
    listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
  };
  return new Map(listener_statuses.map((status) => [status.name, status.local_address.socket_address.port_value]));
}
