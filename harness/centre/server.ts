import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Problem } from '../../envoy-configs/problem.ts';
import { checkerOf } from '../config/schema-errors.ts';
import {
  type IsolationOrder,
  IsolationOrderSchema,
  MAX_BODY_BYTES,
  type Order,
  OrderSchema,
  openApi,
  type SyncRequest,
  SyncRequestSchema,
} from './api.ts';
import { type Centre, TICK_MS } from './centre.ts';
import type { Credentials, Identity } from './credentials.ts';
import { Refusal } from './refusal.ts';

/** The centre's door: who may come in, what they may bring, and one JSON answer for each. */

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Signs the certificates of agents and operators. */
  readonly ca: Buffer;
}

export interface ServerOptions {
  readonly centre: Centre;
  readonly credentials: Credentials;
  readonly address: string;
  readonly port: number;
  readonly tls?: TlsFiles;
  readonly version: string;
}

const REQUEST_MS = 10_000;
const ISOLATION_PATH = /^GET \/v1\/isolations\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/;
/** Requests of one identity in a second, on one replica. */
const PER_SECOND = 10;

class HttpProblem extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class CentreServer {
  readonly #options: ServerOptions;
  #credentials: Credentials;
  readonly #server: Server;
  readonly #timer: NodeJS.Timeout;
  readonly #checkSync = checkerOf(SyncRequestSchema);
  readonly #checkOrder = checkerOf(OrderSchema);
  readonly #checkIsolation = checkerOf(IsolationOrderSchema);
  readonly #recent = new Map<string, number>();
  #second = 0;
  #healthy = true;
  #ticking = false;

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.#credentials = options.credentials;
    const handle = (request: IncomingMessage, response: ServerResponse): void => void this.#handle(request, response);
    // Certificates are asked for, not demanded: a token will do. One that is shown must be good.
    this.#server = options.tls
      ? createTlsServer({ ...options.tls, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' }, handle)
      : createServer(handle);
    this.#server.requestTimeout = REQUEST_MS;
    this.#server.headersTimeout = REQUEST_MS;
    this.#server.keepAliveTimeout = 60_000;
    this.#server.maxHeadersCount = 50;
    this.#timer = setInterval(() => void this.#tick(), TICK_MS);
  }

  /** @throws when the address cannot be bound, or tokens would cross a network in the clear */
  static async start(options: ServerOptions): Promise<CentreServer> {
    if (!options.tls && !/^(127\.|::1$|localhost$)/.test(options.address)) {
      throw new Error(
        `address: found ${options.address} without TLS, expected loopback, or --tls-cert, --tls-key and --tls-ca`,
      );
    }
    const server = new CentreServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject).listen(options.port, options.address, resolve);
    }).catch((error: unknown) => {
      clearInterval(server.#timer);
      throw error;
    });
    return server;
  }

  /** From now on these may speak, and nobody else. */
  trust(credentials: Credentials): void {
    this.#credentials = credentials;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#options.centre.isolations.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      await this.#options.centre.tick();
      this.#healthy = true;
    } catch {
      this.#healthy = false;
      this.#options.centre.metrics.count('ticks_failed_total');
    }
    this.#ticking = false;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics } = this.#options.centre;
    try {
      const [status, body, type] = await this.#route(request);
      send(response, status, body, type);
      metrics.count('requests_total', { status: String(status) });
    } catch (error) {
      const known = error instanceof HttpProblem || error instanceof Refusal;
      const status = known ? error.status : 503;
      const message = known ? error.message : 'the shared state cannot be reached; nothing was taken';
      // What is still being sent is not waited for.
      if (status === 413) response.setHeader('connection', 'close');
      send(response, status, JSON.stringify({ error: message }), 'application/json');
      metrics.count('requests_total', { status: String(status) });
    }
  }

  async #route(request: IncomingMessage): Promise<[number, string, string]> {
    const { centre, version } = this.#options;
    const [path = '', query] = (request.url ?? '').split('?');
    const json = (value: unknown): [number, string, string] => [200, JSON.stringify(value), 'application/json'];
    switch (`${request.method} ${path}`) {
      case 'GET /healthz':
        return [
          this.#healthy ? 200 : 503,
          this.#healthy ? 'ok\n' : 'the shared state cannot be reached\n',
          'text/plain',
        ];
      case 'GET /metrics':
        return [200, centre.metrics.text(), 'text/plain; version=0.0.4'];
      case 'GET /openapi.json':
        return json(openApi(version));
      case 'POST /v1/sync': {
        const identity = this.#identity(request, 'agent');
        return json(await centre.sync(identity, await this.#body<SyncRequest>(request, this.#checkSync)));
      }
      case 'GET /v1/verdicts':
        this.#identity(request, 'operator');
        return json({ verdicts: centre.list() });
      case 'POST /v1/verdicts': {
        const identity = this.#identity(request, 'operator');
        return json(await centre.order(identity, await this.#body<Order>(request, this.#checkOrder)));
      }
      case 'GET /v1/isolations':
        this.#identity(request, 'operator');
        return json({ isolations: centre.isolations.list() });
      case 'POST /v1/isolations': {
        const identity = this.#identity(request, 'operator');
        const order = await this.#body<IsolationOrder>(request, this.#checkIsolation);
        return json(await centre.isolations.order(identity, order));
      }
      default: {
        const instance = ISOLATION_PATH.exec(`${request.method} ${path}`)?.[1];
        if (instance !== undefined) {
          const identity = this.#identity(request, 'agent');
          return json(await centre.isolations.ask(identity, instance, this.#known(query)));
        }
        throw new HttpProblem(404, `${request.method} ${path.slice(0, 100)}: nothing is here; see /openapi.json`);
      }
    }
  }

  #known(query: string | undefined): number {
    const found = new URLSearchParams(query).get('known') ?? '0';
    const known = /^[0-9]{1,16}$/.test(found) ? Number(found) : Number.NaN;
    if (Number.isSafeInteger(known)) return known;
    throw this.#refused(`known: found ${found.slice(0, 100)}, expected the version of an answer`);
  }

  #identity(request: IncomingMessage, role: Identity['role']): Identity {
    const { centre } = this.#options;
    const identity = this.#credentials.of(request);
    if (identity === undefined) {
      centre.metrics.count('refused_total', { reason: 'credential' });
      throw new HttpProblem(401, 'credential: found none that is known, expected a bearer token or a certificate');
    }
    if (identity.role !== role) {
      centre.metrics.count('refused_total', { reason: 'role' });
      throw new HttpProblem(403, `role: found ${identity.role}, expected ${role}`);
    }
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#recent.clear();
    }
    const count = (this.#recent.get(identity.name) ?? 0) + 1;
    this.#recent.set(identity.name, count);
    if (count > PER_SECOND) {
      centre.metrics.count('refused_total', { reason: 'rate' });
      throw new HttpProblem(429, `found more than ${PER_SECOND} requests in a second, expected one every nextMs`);
    }
    return identity;
  }

  async #body<T>(request: IncomingMessage, check: (value: unknown) => Problem[]): Promise<T> {
    const tooLarge = () => new HttpProblem(413, `body: found more than ${MAX_BODY_BYTES} bytes`);
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of request as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_BODY_BYTES) throw tooLarge();
      parts.push(part);
    }
    let value: unknown;
    try {
      value = JSON.parse(Buffer.concat(parts).toString('utf8'));
    } catch {
      throw this.#refused('body: found no JSON, expected an object as in /openapi.json');
    }
    const [problem] = check(value);
    if (problem) {
      throw this.#refused(`${problem.path.join('.') || 'body'}: found ${problem.found}, expected ${problem.expected}`);
    }
    return value as T;
  }

  #refused(message: string): HttpProblem {
    this.#options.centre.metrics.count('refused_total', { reason: 'body' });
    return new HttpProblem(400, message.slice(0, 500));
  }
}

function send(response: ServerResponse, status: number, body: string, type: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
