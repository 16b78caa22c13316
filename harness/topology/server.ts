import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import type { History, Topology } from './model.ts';
import { topologySvg } from './svg.ts';

/** What the page is served from. */
export interface TopologySource {
  readonly topology: Topology | undefined;
  history(what: { service: string } | { edge: string }): History | undefined;
}

export interface TopologyServerOptions {
  /** Address to listen on. Default 127.0.0.1. */
  readonly address?: string;
  /** Default 0: any. */
  readonly port?: number;
  /** The bundled page. */
  readonly page: string;
}

/** Pages that are fed at the same time; further ones are refused with 503. */
const MOST_LISTENERS = 64;
/** A reader that is so far behind is let go; its browser connects anew. */
const MOST_BEHIND_BYTES = 8 << 20;

/** Serves the page, what it shows and what changes. Reads only: no request changes anything. */
export class TopologyServer {
  private readonly source: TopologySource;
  private readonly page: string;
  private readonly policy: string;
  private readonly server: Server;
  private readonly listeners = new Set<ServerResponse>();
  private last = '';

  private constructor(source: TopologySource, options: TopologyServerOptions) {
    this.source = source;
    this.page = options.page;
    this.policy = contentPolicy(options.page);
    this.server = createServer((request, response) => this.answer(request, response));
    this.server.headersTimeout = 5_000;
  }

  static async listen(source: TopologySource, options: TopologyServerOptions): Promise<TopologyServer> {
    const made = new TopologyServer(source, options);
    await new Promise<void>((resolve, reject) => {
      made.server.once('error', reject);
      made.server.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve);
    });
    return made;
  }

  get url(): string {
    const { address, port, family } = this.server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`;
  }

  /** Tells every page. Undefined = no mesh runs. */
  publish(topology: Topology | undefined): void {
    this.last = topology === undefined ? event('ended', '{}') : event('topology', JSON.stringify(topology));
    for (const listener of this.listeners) {
      if (listener.writableLength > MOST_BEHIND_BYTES) listener.destroy();
      else listener.write(this.last);
    }
  }

  async close(): Promise<void> {
    for (const listener of this.listeners) listener.end();
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://page');
    const reading = request.method === 'GET' || request.method === 'HEAD';
    if (pathname === '/events' && request.method === 'GET' && isOurs(request) && this.listeners.size < MOST_LISTENERS) {
      this.feed(response);
      return;
    }
    let reply: Reply;
    if (!isOurs(request)) reply = plain(421, 'ask by address');
    else if (!reading) reply = { ...plain(405, 'only GET'), headers: { allow: 'GET, HEAD' } };
    else reply = this.reply(pathname, searchParams);
    const { status, type, body, headers } = reply;
    response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, ...headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  private reply(path: string, query: URLSearchParams): Reply {
    const { topology } = this.source;
    switch (path) {
      case '/':
        return {
          ...{ status: 200, type: 'text/html', body: this.page },
          headers: { 'content-security-policy': this.policy, 'x-frame-options': 'DENY' },
        };
      case '/topology.json':
        return topology === undefined ? NOTHING_SEEN : json(topology);
      case '/topology.svg':
        if (topology === undefined) return NOTHING_SEEN;
        return {
          ...{ status: 200, type: 'image/svg+xml', body: topologySvg(topology) },
          headers: { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" },
        };
      case '/history.json': {
        const what = historyOf(query);
        if (what === undefined) return plain(400, 'expected ?service= or ?edge=');
        const history = this.source.history(what);
        return history === undefined ? plain(404, 'nothing has been called') : json(history);
      }
      case '/events':
        return plain(503, 'too many pages are open');
      default:
        return plain(404, 'no such page');
    }
  }

  private feed(response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: 1000\n\n${this.last}`);
    this.listeners.add(response);
    response.on('close', () => this.listeners.delete(response));
    response.on('error', () => this.listeners.delete(response));
  }
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

function plain(status: number, text: string): Reply {
  return { status, type: 'text/plain', body: `${text}\n` };
}

function json(value: object): Reply {
  return { status: 200, type: 'application/json', body: JSON.stringify(value) };
}

const NOTHING_SEEN = plain(503, 'nothing has been seen yet');

function event(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}

function historyOf(query: URLSearchParams): { service: string } | { edge: string } | undefined {
  const [service, edge] = [query.get('service'), query.get('edge')];
  if (service !== null) return { service };
  return edge === null ? undefined : { edge };
}

/** Another site's name that leads here (DNS rebinding) is no way to read what the mesh does. */
function isOurs({ headers }: IncomingMessage): boolean {
  const name = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isIP(name) !== 0;
}

/** Nothing but the page's own script and style runs, and nothing is fetched from elsewhere. */
function contentPolicy(page: string): string {
  const hash = (tag: string) => {
    const text = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)?.[1] ?? '';
    return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  };
  return [
    "default-src 'none'",
    `script-src ${hash('script')}`,
    `style-src ${hash('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}
