import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';

/** A stock Envoy with one worker and one listener, on a port of the kernel's choice, that runs a plugin under test. */
export class PluginEnvoy {
  readonly envoy: Envoy;
  readonly port: number;
  #folder: string;

  private constructor(envoy: Envoy, port: number, folder: string) {
    this.envoy = envoy;
    this.port = port;
    this.#folder = folder;
  }

  /** @param bootstrap makes the configuration; its admin must listen on the given Unix socket */
  static async start(bootstrap: (adminSocket: string) => string): Promise<PluginEnvoy> {
    const folder = await mkdtemp(join(tmpdir(), 'twin-'));
    try {
      const adminSocket = join(folder, 'admin.sock');
      const config = join(folder, 'envoy.yaml');
      await writeFile(config, bootstrap(adminSocket));
      const envoy = await startEnvoy({
        name: 'twin',
        binary: (await resolveEnvoy()).path,
        config,
        adminSocket,
        logPath: join(folder, 'envoy.log'),
        args: ['--component-log-level', 'wasm:info', '--log-format', '%l|%v'],
      });
      try {
        return new PluginEnvoy(envoy, await listenerPort(envoy), folder);
      } catch (error) {
        await envoy.stop(500);
        throw error;
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Lines of Envoy's log that come from the plugin, without Envoy's prefix (plugin name, root id, vm id). */
  async logs(): Promise<string[]> {
    const text = await readFile(this.envoy.child.logPath, 'utf8');
    const lines: string[] = [];
    for (const line of text.split('\n')) {
      const message = /^\w+\|wasm log [^:]*: (.*)$/.exec(line)?.[1];
      if (message !== undefined) lines.push(message);
    }
    return lines;
  }

  async stop(): Promise<void> {
    await this.envoy.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The listener has port 0 in the bootstrap: the kernel chose one. */
async function listenerPort(envoy: Envoy): Promise<number> {
  const { body } = await envoy.admin.get('/listeners?format=json');
  const parsed = JSON.parse(body) as {
    listener_statuses: { local_address: { socket_address: { port_value: number } } }[];
  };
  const port = parsed.listener_statuses[0]?.local_address.socket_address.port_value;
  if (port === undefined) throw new Error(`no listener in ${body}`);
  return port;
}
