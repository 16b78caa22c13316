import { join } from 'node:path';
import type { Instance, Mesh } from '../../envoy-configs/mesh.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { Deployment } from '../../harness/apply/deployment.ts';
import { setTls } from '../../harness/config/edit-tls.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { type DriveReport, driveClosed } from '../../harness/drive/drive.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import type { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';

const APP = join(import.meta.dirname, 'app.mjs');
const ROOT = join(import.meta.dirname, '../..');

/** A running mesh whose service `front` calls the others through its sidecar; tests play its application. */
export class TlsStage {
  readonly driver: ProcessDriver;
  readonly state: StateFolder;
  private deployment!: Deployment;

  private constructor(state: StateFolder, driver: ProcessDriver) {
    this.state = state;
    this.driver = driver;
  }

  /** `services`: YAML of the services beside `front`, indented by two; `top`: further top-level lines. */
  static async open(
    state: StateFolder,
    network: string,
    services: string,
    top = 'tls: { idleTimeout: 2s }',
  ): Promise<TlsStage> {
    const driver = new ProcessDriver({ state, envoy: (await resolveEnvoy()).path, bookinfo: '' });
    const stage = new TlsStage(state, driver);
    const options = {
      state,
      driver,
      driverName: 'process' as const,
      wasmPath: join(ROOT, 'build/causeway.wasm'),
      resolve: { network },
    };
    const text = [
      'mesh: tlstest',
      top,
      'gateways: [{ name: gateway, port: 8080, routes: [{ prefix: /, service: front }] }]',
      'services:',
      '  front:',
      `    command: [${process.execPath}, ${APP}]`,
      '    instances: { base: {} }',
      services.replaceAll('APP', `command: [${process.execPath}, ${APP}]`),
      '',
    ].join('\n');
    stage.deployment = await Deployment.start(options, load(text));
    return stage;
  }

  get mesh(): Mesh {
    return this.deployment.mesh;
  }

  get text(): string {
    return this.deployment.text;
  }

  get front(): Instance {
    return this.instance('front-base-1');
  }

  instance(id: string): Instance {
    const found = this.mesh.services.flatMap(({ instances }) => instances).find((instance) => instance.id === id);
    if (!found) throw new Error(`no instance ${id}`);
    return found;
  }

  node(id: string): RenderedNode {
    const plan = this.deployment.plans.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no node ${id}`);
    return plan.node;
  }

  admin(id = 'front-base-1'): EnvoyAdmin {
    return new EnvoyAdmin(this.node(id).adminSocket);
  }

  async apply(text: string): Promise<void> {
    await this.deployment.apply({ file: 'causeway.yaml', text, config: parseConfig(text, 'causeway.yaml') });
  }

  /** What `causeway tls` does. */
  set(service: string, mode: 'on' | 'off' | 'canary', percent?: number): Promise<void> {
    return this.apply(setTls(this.text, service, mode, percent));
  }

  /** Sum of the statistics of `front`'s sidecar whose names match. */
  async sum(pattern: RegExp): Promise<number> {
    let total = 0;
    for (const [name, value] of await this.admin().stats()) if (pattern.test(name)) total += value;
    return total;
  }

  /** Requests and connections of a service's plain and TLS clusters, as `front`'s sidecar has them. */
  async pools(service: string): Promise<{ plain: Pool; tls: Pool; destroyedWithRequests: number }> {
    const stats = await this.admin().stats(`^cluster\\.${service}_`);
    const of = (prefix: string, stat: string) => {
      let total = 0;
      for (const [name, value] of stats) {
        const [, cluster = ''] = /^cluster\.(\w+)\./.exec(name) ?? [];
        const isTls = cluster.startsWith(`${service}_tls`);
        if ((prefix === 'tls') === isTls && name === `cluster.${cluster}.${stat}`) total += value;
      }
      return total;
    };
    const pool = (prefix: string): Pool => ({
      requests: of(prefix, 'upstream_rq_total'),
      connections: of(prefix, 'upstream_cx_active'),
    });
    return {
      plain: pool('plain'),
      tls: pool('tls'),
      destroyedWithRequests:
        of('plain', 'upstream_cx_destroy_with_active_rq') + of('tls', 'upstream_cx_destroy_with_active_rq'),
    };
  }

  /** One of the filter's own counters. */
  async counter(event: string): Promise<number> {
    return (await this.admin().stats(`connection_elimination_${event}`)).values().next().value ?? 0;
  }

  /** Drives calls of `front` to a service until `work` has ended; every answer but 200 is a failure. */
  async under(service: string, connections: number, work: () => Promise<void>): Promise<DriveReport> {
    const stop = new AbortController();
    const { address, ports } = this.front;
    const driving = driveClosed({
      target: `http://${address}:${ports.outbound}`,
      total: 10_000_000,
      concurrency: connections,
      signal: stop.signal,
      next: (n) => ({
        method: n % 3 === 0 ? 'POST' : 'GET',
        path: '/',
        headers: { host: service, 'x-request-id': `t${n}` },
        ...(n % 3 === 0 ? { body: 'x' } : {}),
        kind: 'all',
      }),
      judge: ({ status, error }) => (status === 200 ? null : status === 0 ? `no answer: ${error}` : `status ${status}`),
    });
    try {
      await work();
    } finally {
      stop.abort();
    }
    return driving;
  }

  /** One call of `front`. */
  async call(service: string, headers: Record<string, string> = {}, path = '/'): Promise<number> {
    const { address, ports } = this.front;
    const { request } = await import('undici');
    const answer = await request(`http://${address}:${ports.outbound}${path}`, {
      headers: { host: service, ...headers },
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  async close(): Promise<void> {
    await this.deployment.down();
  }
}

export interface Pool {
  requests: number;
  connections: number;
}

function load(text: string) {
  return { file: 'causeway.yaml', text, config: parseConfig(text, 'causeway.yaml') };
}
