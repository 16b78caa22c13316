import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent, request } from 'undici';
import { type Call, isHop } from './hop.ts';
import type { Settings } from './settings.ts';

/** What a call brought back: its evidence, and the callee's JSON when the callee answered with JSON. */
export interface CallResult {
  call: Call;
  body: Record<string, unknown> | null;
}

export interface CallOptions {
  method?: 'GET' | 'POST';
  headers: Readonly<Record<string, string>>;
  body?: string;
}

export interface Outbound {
  call(service: string, path: string, options: CallOptions): Promise<CallResult>;
  close(): Promise<void>;
}

interface Answer {
  status: number;
  text: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

type Send = (authority: string, path: string, options: CallOptions) => Promise<Answer>;

/** The port that Bookinfo's services are called on, as in Istio's sample. */
const SERVICE_PORT = 9080;

/**
 * Calls other services through the sidecar's outbound listener: the connection goes to the sidecar, the callee is named
 * in `Host` only. No retries here: how often a request is tried is the proxy's matter, and counted there.
 */
export function createOutbound(settings: Settings): Outbound {
  const transport = settings.protocol === 'http2' ? http2Transport(settings) : http1Transport(settings);
  return {
    close: transport.close,
    async call(service, path, options) {
      const start = performance.now();
      const call: Call = { service, method: options.method ?? 'GET', path, status: 0, ms: 0, headers: {} };
      let body: Record<string, unknown> | null = null;
      try {
        const answer = await transport.send(`${service}:${SERVICE_PORT}`, path, options);
        call.status = answer.status;
        call.headers = extensionHeaders(answer.headers);
        body = parseObject(answer.text);
        if (body && isHop(body.hop)) call.hop = body.hop;
        else call.error = answer.text.slice(0, 200);
      } catch (error) {
        call.error = error instanceof Error ? error.message : String(error);
      }
      call.ms = Math.round((performance.now() - start) * 100) / 100;
      return { call, body };
    },
  };
}

function http1Transport(settings: Settings): { send: Send; close(): Promise<void> } {
  const agent = new Agent({
    connections: 512,
    pipelining: 1,
    keepAliveTimeout: 600_000,
    headersTimeout: settings.callTimeoutMs,
    bodyTimeout: settings.callTimeoutMs,
    connect: { timeout: settings.callTimeoutMs },
  });
  return {
    close: () => agent.destroy(),
    send: async (authority, path, { method = 'GET', headers, body }) => {
      const answer = await request(settings.outbound + path, {
        dispatcher: agent,
        method,
        headers: { ...headers, host: authority, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body }),
      });
      return { status: answer.statusCode, text: await answer.body.text(), headers: answer.headers };
    },
  };
}

function http2Transport(settings: Settings): { send: Send; close(): Promise<void> } {
  let session: ClientHttp2Session | undefined;
  const open = () => {
    if (!session || session.closed || session.destroyed) {
      session = connect(settings.outbound);
      session.on('error', () => {});
    }
    return session;
  };
  return {
    close: async () => session?.destroy(),
    send: (authority, path, { method = 'GET', headers, body }) =>
      new Promise((resolve, reject) => {
        const type = body === undefined ? {} : { 'content-type': 'application/json' };
        const stream = open().request({
          ...headers,
          ...type,
          ':method': method,
          ':path': path,
          ':authority': authority,
        });
        let status = 0;
        let answered: Answer['headers'] = {};
        const chunks: Buffer[] = [];
        stream.setTimeout(settings.callTimeoutMs, () => stream.destroy(new Error('call timed out')));
        stream.on('response', (answer) => {
          status = Number(answer[':status'] ?? 0);
          answered = answer as Answer['headers'];
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => resolve({ status, text: Buffer.concat(chunks).toString('utf8'), headers: answered }));
        stream.on('error', reject);
        stream.end(body);
      }),
  };
}

/** Every `x-` header but Envoy's own, so that the evidence stays short. */
function extensionHeaders(headers: Answer['headers']): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => name.startsWith('x-') && !name.startsWith('x-envoy-'));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
