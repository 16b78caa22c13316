/**
 * A stock Envoy for fuzzing by raw bytes: for every role of every scenario a listener with the wasm filter, and one
 * without any filter, which shows what Envoy itself lets through. Client and upstream are sockets, because HTTP libraries
 * refuse the bytes that are of interest here.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Header } from './reference/request.ts';

const TIMEOUT_MS = 10_000;
/** Room for one header of 60 kB beside the others. */
const MAX_HEADERS_KB = 96;
const TYPE = 'type.googleapis.com/envoy.extensions';

export interface FuzzListener {
  readonly name: string;
  /** Undefined: no filter. */
  readonly plugin?: {
    readonly vmId: string;
    readonly role: string;
    readonly rootId: string;
    readonly configuration: unknown;
  };
}

/** Bootstrap (JSON is YAML) with these listeners on ports of the kernel's choice. */
export function fuzzBootstrap(
  listeners: readonly FuzzListener[],
  wasm: string,
  upstreamPort: number,
  adminSocket: string,
): string {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: upstreamPort } } };
  const metadata = { filter_metadata: { 'envoy.lb': { lane: 'base' }, causeway: { lane: 'base' } } };
  return JSON.stringify({
    admin: { address: { pipe: { path: adminSocket } } },
    node: { id: 'fuzz', cluster: 'fuzz' },
    static_resources: {
      listeners: listeners.map((one) => listener(one, wasm)),
      clusters: [
        {
          name: 'app',
          type: 'STATIC',
          connect_timeout: '2s',
          load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: [{ endpoint, metadata }] }] },
        },
      ],
    },
  });
}

function listener({ name, plugin }: FuzzListener, wasm: string): unknown {
  const text = (value: string): unknown => ({ '@type': 'type.googleapis.com/google.protobuf.StringValue', value });
  const filter = plugin && {
    name: 'envoy.filters.http.wasm',
    typed_config: {
      '@type': `${TYPE}.filters.http.wasm.v3.Wasm`,
      config: {
        name,
        root_id: plugin.rootId,
        configuration: text(JSON.stringify(plugin.configuration)),
        // A trap must not heal: every later request would be answered 503.
        failure_policy: 'FAIL_CLOSED',
        vm_config: {
          vm_id: plugin.vmId,
          runtime: 'envoy.wasm.runtime.v8',
          code: { local: { filename: wasm } },
          configuration: text(plugin.role),
        },
      },
    },
  };
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    use_remote_address: true,
    // Both listeners must see the same request.
    generate_request_id: false,
    max_request_headers_kb: MAX_HEADERS_KB,
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '' }, route: { cluster: 'app' } }] }],
    },
    http_filters: [
      ...(filter ? [filter] : []),
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` },
      },
    ],
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}

/** Answers 200 to everything and keeps what it got. */
export class RawUpstream {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #received: Header[][] = [];

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<RawUpstream> {
    const upstream = new RawUpstream();
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    return upstream;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('the upstream has no port');
    return address.port;
  }

  /** Headers of the requests since the last call, with pseudo-headers. */
  take(): Header[][] {
    const received = this.#received;
    this.#received = [];
    return received;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    let buffered = '';
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => {
      buffered += data;
      for (let end = buffered.indexOf('\r\n\r\n'); end >= 0; end = buffered.indexOf('\r\n\r\n')) {
        this.#received.push(parseHead(buffered.slice(0, end)));
        buffered = buffered.slice(end + 4);
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      }
    });
  }
}

function parseHead(head: string): Header[] {
  const [line = '', ...rest] = head.split('\r\n');
  const method = line.slice(0, line.indexOf(' '));
  const path = line.slice(method.length + 1, line.lastIndexOf(' '));
  const headers: Header[] = [
    [':method', method],
    [':path', path],
  ];
  for (const one of rest) {
    const colon = one.indexOf(':');
    const name = one.slice(0, colon);
    headers.push([name === 'host' ? ':authority' : name, one.slice(colon + 1).replace(/^ /, '')]);
  }
  return headers;
}

/** Sends raw requests over kept connections, one for each local address and port. */
export class RawClient {
  readonly #connections = new Map<string, Connection>();

  /** Status of the answer; 0 when Envoy closed the connection without one. @throws Error after ten seconds */
  async send(port: number, localAddress: string, headers: readonly Header[]): Promise<number> {
    const key = `${localAddress}>${port}`;
    for (let attempt = 0; ; attempt++) {
      const kept = this.#connections.get(key);
      const connection = kept ?? (await Connection.open(port, localAddress));
      this.#connections.set(key, connection);
      const status = await connection.exchange(rawHead(headers), pseudo(headers, ':method') === 'HEAD');
      if (connection.closed) this.#connections.delete(key);
      // A kept connection may have been closed while it was idle.
      if (status !== 0 || kept === undefined || attempt > 0) return status;
    }
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }
}

function pseudo(headers: readonly Header[], name: string): string {
  return headers.find(([other]) => other === name)?.[1] ?? '';
}

function rawHead(headers: readonly Header[]): string {
  const lines = headers.filter(([name]) => !name.startsWith(':')).map(([name, value]) => `${name}: ${value}\r\n`);
  const line = `${pseudo(headers, ':method')} ${pseudo(headers, ':path')} HTTP/1.1\r\n`;
  return `${line}Host: ${pseudo(headers, ':authority')}\r\n${lines.join('')}\r\n`;
}

class Connection {
  readonly #socket: Socket;
  #buffered = '';
  #wake: () => void = () => {};
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('data', (data: string) => {
      this.#buffered += data;
      this.#wake();
    });
    const ended = (): void => {
      this.closed = true;
      this.#wake();
    };
    socket.on('close', ended);
    socket.on('end', ended);
    socket.on('error', ended);
  }

  static async open(port: number, localAddress: string): Promise<Connection> {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  async exchange(head: string, withoutBody: boolean): Promise<number> {
    this.#buffered = '';
    this.#socket.write(head, 'latin1');
    const deadline = Date.now() + TIMEOUT_MS;
    for (;;) {
      const status = this.#answered(withoutBody);
      if (status !== undefined) return status;
      if (this.closed) return 0;
      if (Date.now() >= deadline) throw new Error(`no answer within ${TIMEOUT_MS} ms`);
      await this.#more(deadline - Date.now());
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Status of a whole answer, undefined while some of it is missing. */
  #answered(withoutBody: boolean): number | undefined {
    const end = this.#buffered.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = this.#buffered.slice(0, end).toLowerCase();
    const length = withoutBody ? 0 : Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1] ?? 0);
    if (this.#buffered.length < end + 4 + length) return undefined;
    if (/\r\nconnection: *close/.test(head)) {
      this.closed = true;
      this.#socket.destroy();
    }
    return Number(head.slice(9, 12));
  }

  #more(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
