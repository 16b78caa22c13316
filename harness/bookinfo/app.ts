import { closeSync, openSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from './settings.ts';

export type IncomingHeaders = Readonly<Record<string, string | undefined>>;

export interface AppRequest {
  method: string;
  /** Without the query string. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHeaders;
  body: string;
}

export interface AppAnswer {
  status: number;
  contentType: string;
  body: string;
  headers?: Readonly<Record<string, string>>;
}

/** Answers a request, or returns null for "no such path". */
export type Handler = (request: AppRequest) => Promise<AppAnswer | null> | AppAnswer | null;

export const json = (status: number, value: unknown): AppAnswer => ({
  status,
  contentType: 'application/json',
  body: JSON.stringify(value),
});

/** What an instance says of its own work. */
export interface Evidence {
  service: string;
  version: string;
  instance: string;
  /** Requests answered, without health checks and evidence. */
  requests: number;
  inFlight: number;
  /** How often each POST was begun, by its id: above 1 = it ran twice. */
  posts: Record<string, number>;
}

export interface RunningApp {
  port: number;
  evidence(): Evidence;
  close(): Promise<void>;
}

/** A request body is small here; anything beyond this many bytes is refused with 413. */
const MAX_BODY = 1 << 20;

/** Ids remembered for `/_evidence`; the journal has no such bound. */
const MAX_POSTS = 200_000;

/** Serves a handler on plain HTTP/1.1 or HTTP/2, with `/health` and `/_evidence` beside it. */
export async function serve(settings: Settings, handler: Handler): Promise<RunningApp> {
  const evidence: Evidence = {
    service: settings.service,
    version: settings.version,
    instance: settings.instance,
    requests: 0,
    inFlight: 0,
    posts: {},
  };
  let ids = 0;
  const journal = settings.journal === '' ? null : openSync(settings.journal, 'a');
  // Written at once and by one call each, so that a line is in the file even when the process is killed next.
  const note = (event: 'begin' | 'end', post: string) => {
    if (journal !== null) writeSync(journal, `${JSON.stringify({ event, post, at: Date.now() })}\n`);
  };

  async function answer(request: AppRequest): Promise<AppAnswer> {
    if (request.path === '/health') {
      return json(200, { status: `${settings.service[0]?.toUpperCase()}${settings.service.slice(1)} is healthy` });
    }
    if (request.path === '/_evidence') return json(200, evidence);
    evidence.inFlight++;
    const post = request.method === 'POST' ? postId(request) : undefined;
    if (post !== undefined) {
      if (post in evidence.posts || ids++ < MAX_POSTS) evidence.posts[post] = (evidence.posts[post] ?? 0) + 1;
      note('begin', post);
    }
    try {
      if (settings.delayMs > 0) await sleep(settings.delayMs);
      return (await handler(request)) ?? json(404, { error: `no ${request.method} ${request.path} here` });
    } finally {
      if (post !== undefined) note('end', post);
      evidence.inFlight--;
      evidence.requests++;
    }
  }

  // The two APIs differ in types only; what is used here is the part that HTTP/2's compatibility layer offers too.
  const listener = (incoming: Incoming, outgoing: Outgoing) => {
    readBody(incoming)
      .then(async (body) => {
        if (body === null) return json(413, { error: `body over ${MAX_BODY} bytes` });
        const url = new URL(incoming.url ?? '/', 'http://app');
        const headers = incoming.headers as IncomingHeaders;
        return answer({ method: incoming.method ?? 'GET', path: url.pathname, query: url.searchParams, headers, body });
      })
      .catch((error: unknown) => json(500, { error: error instanceof Error ? error.message : String(error) }))
      .then((reply) => {
        if (outgoing.destroyed) return;
        const length = String(Buffer.byteLength(reply.body));
        outgoing.writeHead(reply.status, {
          'content-type': reply.contentType,
          'content-length': length,
          ...reply.headers,
        });
        outgoing.end(reply.body);
      });
  };

  const server = settings.protocol === 'http2' ? createHttp2Server(listener) : plainServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, settings.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    evidence: () => structuredClone(evidence),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          if (journal !== null) closeSync(journal);
          resolve();
        });
        if ('closeIdleConnections' in server) server.closeIdleConnections();
      }),
  };
}

function plainServer(listener: (incoming: Incoming, outgoing: Outgoing) => void): Server {
  const server = createServer(listener);
  // The sidecar keeps its connections open; closing idle ones first would race with its next request.
  server.keepAliveTimeout = 3_600_000;
  server.headersTimeout = 3_600_000;
  server.requestTimeout = 0;
  return server;
}

type Incoming = AsyncIterable<Buffer | string> & {
  method?: string | undefined;
  url?: string | undefined;
  headers: object;
};
type Outgoing = {
  readonly destroyed: boolean;
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
};

async function readBody(incoming: Incoming): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.length;
    if (size <= MAX_BODY) chunks.push(bytes);
  }
  return size > MAX_BODY ? null : Buffer.concat(chunks).toString('utf8');
}

/** A POST is known by the `post` field of its JSON body, else by its request id. */
function postId(request: AppRequest): string | undefined {
  if (request.body.includes('"post"')) {
    try {
      const { post } = JSON.parse(request.body) as { post?: unknown };
      if (typeof post === 'string') return post;
    } catch {
      // Not JSON: the handler will say so.
    }
  }
  return request.headers['x-request-id'];
}
