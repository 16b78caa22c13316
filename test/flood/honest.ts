import { randomUUID } from 'node:crypto';
import { Agent, createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HONEST_HOST, SENT_TAG } from './bootstrap.ts';

const LANE = 'dev1';
const LASTS_MS = 500;
/** When after its arrival the application makes calls while it works, and how long after its answer the last one. */
const CALLS_MS = [100, 350];
const LAST_CALL_MS = 1000;
/** Calls for each request. */
export const CALLS = CALLS_MS.length + 1;
const TIMEOUT_MS = 60_000;
/** Requests, calls and handlers at work at once; on a machine that cannot keep up the rate falls instead of the answers. */
const MOST_AT_WORK = 1200;

/** What became of the honest requests. */
export interface HonestCount {
  requests: number;
  /** Calls of the application that carried the request's tag, or not. */
  hits: number;
  misses: number;
  /** Requests and calls that were not answered by 200. */
  failed: number;
}

/**
 * The application behind the sidecar and its honest clients. The application forwards `x-request-id` and knows nothing
 * of tags: it takes half a second, makes two calls meanwhile and one a second after its answer.
 */
export class HonestTraffic {
  readonly count: HonestCount = { requests: 0, hits: 0, misses: 0, failed: 0 };
  /** Why the last request or call failed. */
  lastFailure = '';
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  #outbound = 0;
  readonly #work = new Set<Promise<void>>();

  private constructor() {
    this.#server = createServer((message, response) => {
      const id = String(message.headers['x-request-id']);
      this.#track(this.#handle(id, () => response.end()));
    });
    // Envoy reuses connections: one that closes by itself may do so under the next request.
    this.#server.keepAliveTimeout = 0;
  }

  static async start(): Promise<HonestTraffic> {
    const traffic = new HonestTraffic();
    await new Promise<void>((resolve) => traffic.#server.listen(0, '127.0.0.1', resolve));
    return traffic;
  }

  get appPort(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Counts anew; sends `perSecond` requests until `over()`, then waits for all that they started. */
  async run(inbound: number, outbound: number, perSecond: number, over: () => boolean): Promise<void> {
    this.#outbound = outbound;
    Object.assign(this.count, { requests: 0, hits: 0, misses: 0, failed: 0 });
    const started = Date.now();
    for (let sent = 0; !over(); sent++) {
      const late = Date.now() - started - (sent * 1000) / perSecond;
      if (late < 0) await sleep(-late);
      while (this.#work.size > MOST_AT_WORK) await sleep(10);
      this.#track(this.#ask(inbound));
    }
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Closes the connections to the sidecar, on both of its sides. */
  disconnect(): void {
    this.#agent.destroy();
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.disconnect();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }

  async #ask(port: number): Promise<void> {
    this.count.requests++;
    const headers = { host: HONEST_HOST, 'x-request-id': randomUUID(), 'x-asm-traffic-lane': LANE };
    await this.#get(port, headers);
  }

  async #handle(id: string, answer: () => void): Promise<void> {
    const begin = Date.now();
    for (const at of CALLS_MS) {
      await sleep(at - (Date.now() - begin));
      await this.#call(id);
    }
    await sleep(LASTS_MS - (Date.now() - begin));
    answer();
    await sleep(LAST_CALL_MS);
    await this.#call(id);
  }

  async #call(id: string): Promise<void> {
    const headers = await this.#get(this.#outbound, { host: 'service', 'x-request-id': id });
    if (headers === undefined) return;
    if (headers[SENT_TAG] === LANE) this.count.hits++;
    else this.count.misses++;
  }

  /** The answer's headers, or undefined after counting the failure. */
  #get(port: number, headers: Record<string, string>): Promise<IncomingHttpHeaders | undefined> {
    return new Promise((resolve) => {
      const fail = (why: string): void => {
        this.count.failed++;
        this.lastFailure = `${headers.host}: ${why}`;
        resolve(undefined);
      };
      const message = request({ host: '127.0.0.1', port, headers, agent: this.#agent, timeout: TIMEOUT_MS });
      message.on('timeout', () => message.destroy(new Error('no answer')));
      message.on('error', (error) => fail(error.message));
      message.on('response', (response) => {
        response.resume();
        if (response.statusCode !== 200) fail(`status ${response.statusCode}`);
        else response.on('end', () => resolve(response.headers));
      });
      message.end();
    });
  }
}
