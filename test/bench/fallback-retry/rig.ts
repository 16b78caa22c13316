import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LaneInstance, LaneService } from '../../../envoy-configs/clusters.ts';
import type { LbPolicy, Protocol } from '../../../envoy-configs/mesh.ts';
import { resolveEnvoy } from '../../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../../harness/envoy/launcher.ts';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

/** What tests vary of a service. `weights`: by lane and instance. */
export interface ServiceOptions {
  protocol?: Protocol;
  lb?: LbPolicy;
  shards?: number;
  idempotent?: boolean;
  intervalMs?: number;
  timeoutMs?: number;
  weights?: Readonly<Record<string, readonly number[]>>;
}

/** A service of the rig: instances `<lane>-<n>` (n from 0) at 127.<second>.<lane's number>.<n + 1>:9080. */
export function service(
  name: string,
  second: number,
  lanes: Readonly<Record<string, number>>,
  more: ServiceOptions = {},
): LaneService {
  const instances: LaneInstance[] = Object.entries(lanes).flatMap(([lane, count], index) =>
    Array.from({ length: count }, (_, n) => ({
      id: `${lane}-${n}`,
      lane,
      address: `127.${second}.${index + 1}.${n + 1}`,
      weight: more.weights?.[lane]?.[n] ?? 1,
      ports: { inbound: 9080 },
      ...(more.shards ? { shard: n % more.shards } : {}),
    })),
  );
  return {
    name,
    protocol: more.protocol ?? 'http1',
    idempotent: more.idempotent ?? false,
    lb: more.lb ?? { policy: 'round_robin' },
    shards: more.shards ?? 0,
    healthCheck: {
      path: '/health',
      intervalMs: more.intervalMs ?? 500,
      // A busy machine answers late; where a check must notice silence the test says how soon.
      timeoutMs: more.timeoutMs ?? 3_000,
      unhealthyThreshold: 1,
      healthyThreshold: 1,
    },
    instances,
  };
}

export interface ListenerSpec {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** HTTP filters before the router. */
  readonly filters?: readonly object[];
  readonly routes: readonly object[];
  /** Further fields of the connection manager. */
  readonly manager?: object;
  /** Access loggers of the router. */
  readonly upstreamLog?: readonly object[];
}

export function listener(spec: ListenerSpec): object {
  const router = { '@type': ROUTER, ...(spec.upstreamLog === undefined ? {} : { upstream_log: spec.upstreamLog }) };
  const manager = {
    '@type': HCM,
    stat_prefix: spec.name,
    ...spec.manager,
    http_filters: [...(spec.filters ?? []), { name: 'router', typed_config: router }],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: spec.routes }] },
  };
  return {
    name: spec.name,
    address: { socket_address: { address: spec.address, port_value: spec.port } },
    filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
  };
}

export interface Bootstrap {
  readonly listeners: readonly object[];
  readonly clusters: readonly object[];
  readonly node?: object;
}

/** An Envoy with its files in a directory of its own, removed with it. */
export async function envoy(
  name: string,
  bootstrap: Bootstrap,
  args: readonly string[] = [],
  concurrency = 1,
): Promise<Envoy> {
  const dir = mkdtempSync(join(tmpdir(), 'causeway-rig-'));
  const adminSocket = join(dir, 'admin.sock');
  const config = join(dir, 'envoy.json');
  writeFileSync(
    config,
    JSON.stringify({
      node: { id: name, cluster: 'rig', ...bootstrap.node },
      admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
      static_resources: { listeners: bootstrap.listeners, clusters: bootstrap.clusters },
    }),
  );
  const started = await startEnvoy({
    name,
    binary: (await resolveEnvoy()).path,
    config,
    adminSocket,
    logPath: join(dir, 'envoy.log'),
    args,
    concurrency,
  });
  return {
    ...started,
    stop: async (graceMs) => {
      await started.stop(graceMs ?? 1_000);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export interface Answer {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the answering instance; empty without one. */
  readonly instance: string;
  /** What the instance was sent. */
  readonly seen: Readonly<Record<string, string>>;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** One HTTP/1 request; never rejects. */
export function call(address: string, port: number, spec: Call = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const failed = (): void => resolve({ status: 0, headers: {}, instance: '', seen: {}, body: '' });
    const outgoing = request(
      {
        host: address,
        port,
        agent,
        method: spec.method ?? 'GET',
        path: spec.path ?? '/',
        headers: { host: spec.host ?? 'rig', ...spec.headers },
        timeout: spec.timeoutMs ?? 10_000,
      },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('error', failed);
        incoming.on('end', () => {
          const body = Buffer.concat(parts).toString();
          const headers = incoming.headers as Record<string, string>;
          const json = headers['content-type'] === 'application/json';
          const { id, headers: seen } = json
            ? (JSON.parse(body) as { id: string; headers: object })
            : { id: '', headers: {} };
          resolve({
            status: incoming.statusCode ?? 0,
            headers,
            instance: id,
            seen: seen as Record<string, string>,
            body,
          });
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', failed);
    outgoing.end();
  });
}

/** A client connection for HTTP/2 and gRPC. */
export class Http2Client {
  private readonly session: ClientHttp2Session;

  constructor(address: string, port: number) {
    this.session = connect(`http://${address}:${port}`);
    this.session.on('error', () => {});
  }

  /** One request; for gRPC give `content-type: application/grpc`. `instance` of a gRPC answer is its header. */
  call(spec: Call = {}): Promise<Answer & { readonly grpcStatus: string }> {
    return new Promise((resolve) => {
      const stream = this.session.request({
        ':method': spec.method ?? 'GET',
        ':path': spec.path ?? '/',
        ':authority': spec.host ?? 'rig',
        ...spec.headers,
      });
      let headers: Record<string, string> = {};
      let grpcStatus = '';
      const parts: Buffer[] = [];
      stream.on('response', (received) => {
        headers = received as unknown as Record<string, string>;
        grpcStatus = headers['grpc-status'] ?? '';
      });
      stream.on('trailers', (received) => {
        grpcStatus = String(received['grpc-status'] ?? grpcStatus);
      });
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('error', () => {});
      stream.setTimeout(spec.timeoutMs ?? 10_000, () => stream.close());
      stream.on('close', () => {
        const body = Buffer.concat(parts).toString();
        const json = headers['content-type'] === 'application/json';
        const { id, headers: seen } = json
          ? (JSON.parse(body) as { id: string; headers: Record<string, string> })
          : { id: headers['x-instance'] ?? '', headers: {} };
        resolve({ status: Number(headers[':status'] ?? 0), headers, instance: id, seen, body, grpcStatus });
      });
      stream.end();
    });
  }

  close(): void {
    this.session.destroy();
  }
}
