import { request as httpRequest } from 'node:http';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { twinBootstrap } from './envoy-bootstrap.ts';
import { PluginEnvoy } from './plugin-envoy.ts';
import type { Twin, TwinExchange, TwinOptions, TwinRequest } from './twin.ts';
import { bodyOf, pairsOf, Upstream } from './upstream.ts';

const REQUEST_TIMEOUT_MS = 10_000;

/** The plugin in a stock Envoy with one worker, between a Node client and Node upstreams. */
export class EnvoyTwin implements Twin {
  #host: PluginEnvoy;
  #upstreams: Readonly<Record<string, Upstream>>;

  private constructor(host: PluginEnvoy, upstreams: Readonly<Record<string, Upstream>>) {
    this.#host = host;
    this.#upstreams = upstreams;
  }

  static async start(options: TwinOptions): Promise<EnvoyTwin> {
    const upstreams: Record<string, Upstream> = {};
    try {
      upstreams.app = await Upstream.start(options.upstream ?? (() => ({})));
      for (const [name, handler] of Object.entries(options.clusters ?? {})) {
        upstreams[name] = await Upstream.start(handler);
      }
      const ports = Object.fromEntries(Object.entries(upstreams).map(([name, upstream]) => [name, upstream.port]));
      return new EnvoyTwin(await PluginEnvoy.start((socket) => twinBootstrap(options, socket, ports)), upstreams);
    } catch (error) {
      await stopAll(upstreams);
      throw error;
    }
  }

  async exchange(request: TwinRequest = {}): Promise<TwinExchange> {
    const before = this.#upstreams.app?.requests.length ?? 0;
    const answer = await send(this.#host.port, request);
    return { ...answer, upstream: this.#upstreams.app?.requests[before] };
  }

  logs(): Promise<string[]> {
    return this.#host.logs();
  }

  async metric(name: string): Promise<number | undefined> {
    const stats = await this.#host.envoy.admin.stats(`^wasmcustom\\.${name}$`);
    return stats.get(`wasmcustom.${name}`);
  }

  async eventually(what: string, look: () => Promise<boolean>): Promise<void> {
    await waitUntil(what, async () => ((await look()) ? found(undefined) : notYet(what)), { deadlineMs: 10_000 });
  }

  async stop(): Promise<void> {
    await this.#host.stop();
    await stopAll(this.#upstreams);
  }
}

async function stopAll(upstreams: Readonly<Record<string, Upstream>>): Promise<void> {
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.stop()));
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
