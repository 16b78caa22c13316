import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { wasmExtension } from '../../envoy-configs/filters.ts';
import type { JsonObject, Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { discoveryFile, PATHS } from '../../envoy-configs/xds.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';

/** A gateway, one protected service with one instance, and its application: rendered from `causeway.yaml` words. */

type Shop = CausewayConfig['services'][string];

export interface StageOptions {
  /** Second octet of all addresses. */
  readonly network: number;
  readonly module: string;
  readonly concurrency?: number;
  /** Of the service `shop`; null = unprotected. */
  readonly overload?: NonNullable<Shop['overload']> | null;
  readonly limits?: NonNullable<Shop['limits']>;
  readonly interfaces?: NonNullable<Shop['interfaces']>;
  readonly protocol?: 'http1' | 'grpc';
  readonly app?: Readonly<Record<string, string>>;
}

export interface Answer {
  /** 0: none within the caller's patience. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly ms: number;
}

const APP = join(import.meta.dirname, 'app.mjs');

export class OverloadStage {
  readonly #children: ChildProcess[] = [];
  readonly #envoys = new Map<string, Envoy>();
  readonly #folder = mkdtempSync(join(tmpdir(), 'cw-shed-'));
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  readonly mesh: Mesh;
  readonly #options: StageOptions;
  #nodes: readonly RenderedNode[];

  private constructor(options: StageOptions) {
    this.#options = options;
    this.mesh = this.#resolve({});
    this.#nodes = this.#render(this.mesh);
  }

  static async start(options: StageOptions): Promise<OverloadStage> {
    const stage = new OverloadStage(options);
    try {
      await stage.#startApp();
      for (const node of stage.#nodes) await stage.#startNode(node);
      return stage;
    } catch (error) {
      await stage.stop();
      throw error;
    }
  }

  get gateway(): string {
    return `http://127.${this.#options.network}.0.1:8080`;
  }

  /** The inbound side of the service's sidecar, as its callers reach it. */
  get inbound(): string {
    return `http://127.${this.#options.network}.1.1:9080`;
  }

  envoy(id: string): Envoy {
    const found = this.#envoys.get(id);
    if (found === undefined) throw new Error(`found ${[...this.#envoys.keys()].join(', ')}, expected ${id}`);
    return found;
  }

  get sidecar(): Envoy {
    return this.envoy('shop-base-1');
  }

  /** Stops or continues the application: `SIGSTOP`, `SIGCONT`. */
  signal(signal: NodeJS.Signals): void {
    this.#children[0]?.kill(signal);
  }

  /** Pushes another `overload` to the running sidecar. */
  reconfigure(overload: StageOptions['overload']): void {
    this.#push(this.#resolve({ overload: overload ?? {} }));
  }

  /** Pushes other `limits` to the running sidecar. */
  relimit(limits: NonNullable<StageOptions['limits']>): void {
    this.#push(this.#resolve({ limits }));
  }

  #push(mesh: Mesh): void {
    for (const node of this.#render(mesh)) {
      for (const [path, text] of Object.entries(node.files)) {
        if (path.startsWith('ecds/')) write(join(node.dir, path), text);
      }
    }
  }

  /** Puts another module under the inbound place, for traps. */
  replaceModule(wasmPath: string, sections: JsonObject): void {
    const node = this.#nodes.find(({ id }) => id === 'shop-base-1');
    const extension = wasmExtension('inbound', wasmPath, sections);
    write(join(node?.dir ?? '', PATHS.extension('causeway.inbound')), discoveryFile('extension', [extension]));
  }

  /** One request; `patienceMs` after which the caller gives up. */
  call(base: string, headers: Readonly<Record<string, string>> = {}, path = '/', patienceMs = 2_000): Promise<Answer> {
    const began = performance.now();
    return new Promise((resolve) => {
      const done = (status: number, given: Answer['headers'] = {}): void =>
        resolve({ status, headers: given, ms: performance.now() - began });
      const sent = request(`${base}${path}`, { agent: this.#agent, headers: { host: 'shop:9080', ...headers } });
      sent.setTimeout(patienceMs, () => sent.destroy());
      const timer = setTimeout(() => sent.destroy(), patienceMs);
      sent.on('response', (response) => {
        response.resume().on('end', () => {
          clearTimeout(timer);
          done(response.statusCode ?? 0, response.headers);
        });
      });
      sent.on('error', () => {
        clearTimeout(timer);
        done(0);
      });
      sent.end();
    });
  }

  /** Open loop: `perSecond` requests for `seconds`, whatever becomes of them. Headers and path by number. */
  async load(
    base: string,
    perSecond: number,
    seconds: number,
    headers: (n: number) => Readonly<Record<string, string>> = () => ({}),
    patienceMs = 1_000,
  ): Promise<Answer[]> {
    const answers: Promise<Answer>[] = [];
    const began = performance.now();
    for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - began) {
      while (answers.length < (elapsed / 1000) * perSecond) {
        answers.push(this.call(base, headers(answers.length), '/', patienceMs));
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return Promise.all(answers);
  }

  /** A metric of overload-shedding in the sidecar, or another node, by the end of its name. */
  async metric(name: string, node = 'shop-base-1'): Promise<number> {
    const full = `wasmcustom.causeway_overload_shedding_${name}`;
    return (await this.envoy(node).admin.stats('causeway_overload_shedding')).get(full) ?? 0;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await Promise.all([...this.#envoys.values()].map((envoy) => envoy.stop(1_000)));
    for (const child of this.#children) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The mesh with `change` in place of what the stage was started with. */
  #resolve(change: Pick<StageOptions, 'overload' | 'limits'>): Mesh {
    const { overload = {}, limits, interfaces = [] } = { ...this.#options, ...change };
    const config: CausewayConfig = {
      mesh: 'overload',
      network: { prefix: `127.${this.#options.network}` },
      concurrency: this.#options.concurrency ?? 1,
      gateways: [{ name: 'gateway', routes: [{ prefix: '/', service: 'shop' }] }],
      services: {
        shop: {
          ...(overload === null ? {} : { overload }),
          ...(limits === undefined ? {} : { limits }),
          interfaces,
          protocol: this.#options.protocol ?? 'http1',
          calls: [],
          healthCheck: { timeout: '5s', interval: '500ms' },
          instances: { base: {} },
        },
      },
      priorities: [
        { class: 1, match: { header: { name: 'x-user', exact: 'core' } } },
        { class: 9, match: { header: { name: 'x-user', exact: 'stress' } } },
      ],
    };
    return resolveMesh(config);
  }

  #render(mesh: Mesh): readonly RenderedNode[] {
    return renderMesh(mesh, {
      wasmPath: this.#options.module,
      nodeDir: (id) => join(this.#folder, id),
      adminSocket: (id) => join(this.#folder, `${id}.sock`),
      accessLog: (id) => join(this.#folder, `${id}.access.log`),
    });
  }

  async #startApp(): Promise<void> {
    const child = spawn(process.execPath, [APP], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, HOST: `127.${this.#options.network}.1.1`, PORT: '9081', ...this.#options.app },
    });
    this.#children.push(child);
    await once(child.stdout ?? child, 'data');
  }

  async #startNode(node: RenderedNode): Promise<void> {
    for (const [path, text] of Object.entries(node.files)) write(join(node.dir, path), text);
    const envoy = await startEnvoy({
      name: node.id,
      binary: (await resolveEnvoy()).path,
      config: join(node.dir, node.bootstrap),
      adminSocket: node.adminSocket,
      logPath: join(this.#folder, `${node.id}.log`),
      concurrency: node.concurrency,
      args: node.args,
    });
    this.#envoys.set(node.id, envoy);
  }
}

/** As Envoy follows files: by a rename. */
function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
