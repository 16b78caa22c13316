import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Bytes are binary strings throughout: one character per byte. */
export interface UpstreamRequest {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export interface UpstreamAnswer {
  readonly status?: number;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  readonly trailers?: readonly (readonly [name: string, value: string])[];
}

export type UpstreamHandler = (request: UpstreamRequest) => UpstreamAnswer | Promise<UpstreamAnswer>;

/** All values of a header, joined by a comma; undefined when absent. */
export function headerOf(
  headers: readonly (readonly [name: string, value: string])[],
  name: string,
): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(',');
}

/** Name and value pairs of `rawHeaders`, names in lower case. */
export function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([(raw[i] ?? '').toLowerCase(), raw[i + 1] ?? '']);
  return pairs;
}

export async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

/** A small HTTP/1 server that answers by a function. */
export class Upstream {
  #server: Server;
  /** Requests in order of arrival. */
  readonly requests: UpstreamRequest[] = [];

  private constructor(handler: UpstreamHandler) {
    this.#server = createServer((message, response) => {
      const answered = bodyOf(message).then(async (body) => {
        const request = { headers: pairsOf(message.rawHeaders), body };
        this.requests.push(request);
        const answer = await handler(request);
        const trailers = answer.trailers ?? [];
        const content = Buffer.from(answer.body ?? '', 'latin1');
        const length: [string, string][] = trailers.length > 0 ? [] : [['content-length', String(content.length)]];
        response.writeHead(answer.status ?? 200, [...(answer.headers ?? []), ...length].flat());
        if (trailers.length > 0) {
          response.write(content);
          response.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]));
          response.end();
        } else response.end(content);
      });
      // A client that goes away in the middle of its body wants no answer.
      answered.catch(() => response.destroy());
    });
  }

  static async start(handler: UpstreamHandler): Promise<Upstream> {
    const upstream = new Upstream(handler);
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
