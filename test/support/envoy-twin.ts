import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { twinBootstrap } from './envoy-bootstrap.ts';
import type { Twin, TwinExchange, TwinOptions, TwinRequest } from './twin.ts';
import { bodyOf, pairsOf, Upstream } from './upstream.ts';

const REQUEST_TIMEOUT_MS = 10_000;

/** The plugin in a stock Envoy with one worker, between a Node client and Node upstreams. */
export class EnvoyTwin implements Twin {
  #envoy: Envoy;
  #folder: string;
  #port: number;
  #upstreams: Readonly<Record<string, Upstream>>;

  private constructor(envoy: Envoy, folder: string, port: number, upstreams: Readonly<Record<string, Upstream>>) {
    this.#envoy = envoy;
    this.#folder = folder;
    this.#port = port;
    this.#upstreams = upstreams;
  }

  static async start(options: TwinOptions): Promise<EnvoyTwin> {
    const folder = await mkdtemp(join(tmpdir(), 'twin-'));
    const upstreams: Record<string, Upstream> = {};
    try {
      upstreams.app = await Upstream.start(options.upstream ?? (() => ({})));
      for (const [name, handler] of Object.entries(options.clusters ?? {})) {
        upstreams[name] = await Upstream.start(handler);
      }
      const adminSocket = join(folder, 'admin.sock');
      const config = join(folder, 'envoy.yaml');
      const ports = Object.fromEntries(Object.entries(upstreams).map(([name, upstream]) => [name, upstream.port]));
      await writeFile(config, twinBootstrap(options, adminSocket, ports));
      const envoy = await startEnvoy({
        name: 'twin',
        binary: (await resolveEnvoy()).path,
        config,
        adminSocket,
        logPath: join(folder, 'envoy.log'),
        args: ['--component-log-level', 'wasm:info', '--log-format', '%l|%v'],
      });
      try {
        return new EnvoyTwin(envoy, folder, await listenerPort(envoy), upstreams);
      } catch (error) {
        await envoy.stop(500);
        throw error;
      }
    } catch (error) {
      await stopAll(upstreams);
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async exchange(request: TwinRequest = {}): Promise<TwinExchange> {
    const before = this.#upstreams.app?.requests.length ?? 0;
    const answer = await send(this.#port, request);
    return { ...answer, upstream: this.#upstreams.app?.requests[before] };
  }

  /** Lines of Envoy's log that come from the plugin, without Envoy's prefix (plugin name, root id, vm id). */
  async logs(): Promise<string[]> {
    const text = await readFile(this.#envoy.child.logPath, 'utf8');
    const lines: string[] = [];
    for (const line of text.split('\n')) {
      const message = /^\w+\|wasm log [^:]*: (.*)$/.exec(line)?.[1];
      if (message !== undefined) lines.push(message);
    }
    return lines;
  }

  async metric(name: string): Promise<number | undefined> {
    const stats = await this.#envoy.admin.stats(`^wasmcustom\\.${name}$`);
    return stats.get(`wasmcustom.${name}`);
  }

  async eventually(what: string, look: () => Promise<boolean>): Promise<void> {
    await waitUntil(what, async () => ((await look()) ? found(undefined) : notYet(what)), { deadlineMs: 10_000 });
  }

  async stop(): Promise<void> {
    await this.#envoy.stop();
    await stopAll(this.#upstreams);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function stopAll(upstreams: Readonly<Record<string, Upstream>>): Promise<void> {
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.stop()));
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

function send(port: number, request: TwinRequest): Promise<Omit<TwinExchange, 'upstream'>> {
  return new Promise((resolve, reject) => {
    const trailers = request.trailers ?? [];
    const framing: [string, string][] =
      trailers.length > 0
        ? [['transfer-encoding', 'chunked']]
        : [['content-length', String(request.body?.length ?? 0)]];
    const message = httpRequest({
      host: '127.0.0.1',
      port,
      method: request.method ?? 'GET',
      path: request.path ?? '/',
      headers: [['host', 'twin.test'], ...(request.headers ?? []), ...(whole(request) ? [] : framing)].flat(),
      agent: false,
      timeout: REQUEST_TIMEOUT_MS,
    });
    message.on('timeout', () => message.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)));
    message.on('response', (response) => {
      bodyOf(response).then(
        (body) =>
          resolve({
            status: response.statusCode ?? 0,
            headers: [[':status', String(response.statusCode)], ...pairsOf(response.rawHeaders)],
            body,
            trailers: pairsOf(response.rawTrailers),
          }),
        reject,
      );
    });
    message.on('error', (error) => {
      if (/ECONNRESET|socket hang up/.test(`${(error as NodeJS.ErrnoException).code} ${error.message}`)) {
        resolve({ status: 0, headers: [], body: '', trailers: [] });
      } else reject(error);
    });
    if (trailers.length > 0) message.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]));
    message.end(Buffer.from(request.body ?? '', 'latin1'));
  });
}

function whole(request: TwinRequest): boolean {
  return request.body === undefined && request.trailers === undefined;
}
