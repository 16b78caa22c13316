import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Http2Client } from '../bench/fallback-retry/rig.ts';

/** One call in each protocol that a service may speak, told in the same words. None of them rejects. */

export interface Target {
  readonly address: string;
  readonly port: number;
  /** Of the callee, as its callers name it. */
  readonly host: string;
}

export interface Reply {
  /** `ok`, or what the refusal was: an HTTP status, `grpc <status>`, `none` without an answer. */
  readonly outcome: string;
  /** Empty when no application has answered. */
  readonly instance: string;
}

export interface Kind {
  readonly name: string;
  readonly protocol: 'http1' | 'http2' | 'grpc';
  /** `method` is for kinds that have a choice. */
  call(target: Target, path: string, headers: Readonly<Record<string, string>>, method?: string): Promise<Reply>;
}

const NO_ANSWER: Reply = { outcome: 'none', instance: '' };
const TIMEOUT_MS = 10_000;

function replied(status: number, headers: Readonly<Record<string, unknown>>, good: number): Reply {
  return { outcome: status === good ? 'ok' : String(status), instance: String(headers['x-instance'] ?? '') };
}

/** An HTTP/1 request on a connection of its own; `use` ends it and answers. */
function http1(
  target: Target,
  path: string,
  headers: Readonly<Record<string, string>>,
  use: (outgoing: ClientRequest, done: (reply: Reply) => void) => void,
  method = 'GET',
): Promise<Reply> {
  return new Promise((resolve) => {
    const outgoing = request({
      host: target.address,
      port: target.port,
      agent: false,
      method,
      path,
      headers: { host: target.host, ...headers },
    });
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer')), TIMEOUT_MS);
    const done = (reply: Reply): void => {
      clearTimeout(timer);
      resolve(reply);
      outgoing.destroy();
    };
    outgoing.on('error', () => done(NO_ANSWER));
    use(outgoing, done);
  });
}

function whole(incoming: IncomingMessage, done: (reply: Reply) => void): void {
  incoming.resume();
  incoming.on('end', () => done(replied(incoming.statusCode ?? 0, incoming.headers, 200)));
}

/** A call and its answer, each whole. */
const plain: Kind = {
  name: 'HTTP/1',
  protocol: 'http1',
  call: (target, path, headers, method) =>
    http1(
      target,
      path,
      headers,
      (outgoing, done) => {
        outgoing.on('response', (incoming) => whole(incoming, done));
        outgoing.end();
      },
      method,
    ),
};

/** The handshake, then one frame there and back. */
const webSocket: Kind = {
  name: 'WebSocket',
  protocol: 'http1',
  call: (target, path, headers) => {
    const handshake = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.from('causeway causewa').toString('base64'),
    };
    return http1(target, path, { ...headers, ...handshake }, (outgoing, done) => {
      outgoing.on('response', (incoming) => whole(incoming, done));
      outgoing.on('upgrade', (incoming, socket) => {
        const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
        socket.on('error', () => done(NO_ANSWER));
        socket.on('close', () => done(NO_ANSWER));
        socket.once('data', (back: Buffer) => {
          socket.destroy();
          done(back.equals(frame) ? replied(incoming.statusCode ?? 0, incoming.headers, 101) : NO_ANSWER);
        });
        socket.write(frame);
      });
      outgoing.end();
    });
  },
};

/** Chunks that are sent only when the one before has come back: request and answer are open at the same time. */
const streaming: Kind = {
  name: 'streaming',
  protocol: 'http1',
  call: (target, path, headers) =>
    http1(
      target,
      path,
      { ...headers, 'x-stream': '1' },
      (outgoing, done) => {
        outgoing.on('response', (incoming) => {
          if (incoming.statusCode !== 200) return whole(incoming, done);
          let left = 3;
          incoming.on('data', () => (--left > 0 ? outgoing.write('more') : outgoing.end()));
          incoming.on('end', () => done(left <= 0 ? replied(200, incoming.headers, 200) : NO_ANSWER));
          incoming.on('error', () => done(NO_ANSWER));
        });
        outgoing.write('first');
      },
      'POST',
    ),
};

async function http2(target: Target, path: string, headers: Readonly<Record<string, string>>) {
  const client = new Http2Client(target.address, target.port);
  try {
    return await client.call({ method: 'POST', path, host: target.host, headers, timeoutMs: TIMEOUT_MS });
  } finally {
    client.close();
  }
}

const overHttp2: Kind = {
  name: 'HTTP/2',
  protocol: 'http2',
  call: async (target, path, headers) => {
    const { status, headers: answered } = await http2(target, path, headers);
    return status === 0 ? NO_ANSWER : replied(status, answered, 200);
  },
};

const grpc: Kind = {
  name: 'gRPC',
  protocol: 'grpc',
  call: async (target, path, headers) => {
    const words = { 'content-type': 'application/grpc', te: 'trailers' };
    const { status, grpcStatus, instance } = await http2(target, path, { ...headers, ...words });
    if (status !== 200) return status === 0 ? NO_ANSWER : { outcome: String(status), instance };
    return { outcome: grpcStatus === '0' ? 'ok' : `grpc ${grpcStatus}`, instance };
  },
};

export const KINDS: readonly Kind[] = [plain, overHttp2, grpc, webSocket, streaming];
