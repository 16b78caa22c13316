import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { request } from 'undici';
import type { CentreSettings, Instance, JsonObject, Mesh } from '../../envoy-configs/mesh.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { discoveryFile, PATHS, resourcesOf } from '../../envoy-configs/xds.ts';
import { Deployment } from '../apply/deployment.ts';
import { writeByRename } from '../apply/push.ts';
import { centreCommand } from '../cli/drivers.ts';
import { parseConfig } from '../config/load.ts';
import type { Progress } from '../drivers/driver.ts';
import { ProcessDriver } from '../drivers/process.ts';
import type { StateFolder } from '../drivers/state.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, waitUntil } from '../process/wait.ts';
import { Load } from './load.ts';

/**
 * Three callers of a service with three instances, which do badly when told so, and a healing centre. The first caller also
 * knows the instances by another name, `peer`, where nothing but Envoy's own `outlier_detection` looks after them.
 */
export interface HealStageOptions {
  readonly state: StateFolder;
  /** First two octets of all addresses. */
  readonly network: string;
  readonly envoy: string;
  readonly wasmPath: string;
  /** Bundle of main.ts. */
  readonly app: string;
  /** Words that start the command line program. */
  readonly cli: readonly string[];
  /** Run the healing centre. Default true; without it agents ask its address in vain. */
  readonly centre?: boolean;
  /** Instances can be isolated, by way of the centre too. Default false. */
  readonly isolation?: boolean;
  /** Instances of the service. Default 3. */
  readonly replicas?: number;
  readonly progress?: Progress;
}

export const CALLERS = ['caller-a', 'caller-b', 'caller-c'] as const;
export type CallerName = (typeof CALLERS)[number];
export const TARGET = 'target';
export const PEER = 'peer';

/** What an instance is told to do with a share of its requests. */
export interface Behaviour {
  readonly status?: number;
  /** 0–1. */
  readonly share?: number;
  readonly delayMs?: number;
  /** Only to this caller. */
  readonly to?: CallerName;
}

const FIRST_CALLER = `${CALLERS[0]}-base-1`;

export class HealStage {
  readonly mesh: Mesh;
  readonly #options: HealStageOptions;
  readonly #deployment: Deployment;
  readonly #driver: ProcessDriver;

  private constructor(options: HealStageOptions, deployment: Deployment, driver: ProcessDriver) {
    this.#options = options;
    this.#deployment = deployment;
    this.#driver = driver;
    this.mesh = deployment.mesh;
  }

  static async open(options: HealStageOptions): Promise<HealStage> {
    const { state, network, envoy, cli, progress } = options;
    const file = fileOf(options);
    const text = configuration(options);
    const config = parseConfig(text, file);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    const centre = centreCommand(resolveMesh(config, { network }), file, network, state, cli);
    const driver = new ProcessDriver({ state, envoy, bookinfo: '', ...(centre ? { centre } : {}) });
    const deployment = await Deployment.start(
      { state, driver, driverName: 'process', wasmPath: options.wasmPath, resolve: { network } },
      { file, text, config },
      progress,
    );
    const stage = new HealStage(options, deployment, driver);
    try {
      await stage.#addPeer();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  get instances(): readonly Instance[] {
    return this.mesh.services.find(({ name }) => name === TARGET)?.instances ?? [];
  }

  /** Address and port of the centre, there or not. */
  get centre(): { readonly address: string; readonly port: number } {
    return centreOf(this.#options);
  }

  /** How an operator reaches it. */
  get centreSettings(): CentreSettings {
    const { centre } = this.mesh;
    if (centre === null) throw new Error('this mesh has no centre');
    return centre;
  }

  /** Where a caller's application sends its calls, with the callee in `Host`. */
  url(caller: CallerName): string {
    const { address, ports } = this.#instance(`${caller}-base-1`);
    return `http://${address}:${ports.outbound}`;
  }

  async behave(id: string, { share = 1, status = 503, delayMs = 0, to }: Behaviour = {}): Promise<void> {
    const { address, ports } = this.#instance(id);
    const query = `share=${share}&status=${status}&delay=${delayMs}&to=${to ?? ''}`;
    const answer = await request(`http://${address}:${ports.app}/behave?${query}`, { method: 'POST' });
    await answer.body.dump();
  }

  async recover(id: string): Promise<void> {
    await this.behave(id, { share: 0 });
  }

  /** Sum of a caller's statistics whose names match, the module's own without their prefix. */
  async sum(caller: CallerName, pattern: RegExp): Promise<number> {
    let total = 0;
    for (const [name, value] of await this.#admin(`${caller}-base-1`).stats()) {
      if (pattern.test(name.replace(/^wasmcustom\.causeway_/, ''))) total += value;
    }
    return total;
  }

  /** Process id of the healing centre; undefined when it does not run. */
  centrePid(): number | undefined {
    return this.#options.state.survivors().find(({ name }) => name === 'centre')?.pid;
  }

  /** Kills an instance's Envoy and starts it again. */
  async killProxy(id: string): Promise<void> {
    await this.#driver.kill(id, 'sidecar');
    await this.#driver.revive(id);
  }

  /** Status of a request straight to an instance's sidecar, past every caller's choice. */
  async straight(id: string): Promise<number> {
    const { address, ports } = this.#instance(id);
    const answer = await request(`http://${address}:${ports.inbound}/`);
    await answer.body.dump();
    return answer.statusCode;
  }

  /** The file that the mesh was started from. */
  get file(): string {
    return fileOf(this.#options);
  }

  node(id: string): RenderedNode {
    const plan = this.#deployment.plans.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no node ${id}`);
    return plan.node;
  }

  /** Calls of a caller to the service, or to the same instances by the peer's name, at so many a second. */
  load(caller: CallerName, rate: number, host = TARGET): Load {
    return new Load({ url: this.url(caller), host, caller, rate });
  }

  async close(): Promise<void> {
    await this.#deployment.down();
  }

  #instance(id: string): Instance {
    const all = this.mesh.services.flatMap(({ instances }) => instances);
    const instance = all.find((one) => one.id === id);
    if (!instance) throw new Error(`no instance ${id}`);
    return instance;
  }

  #admin(id: string): EnvoyAdmin {
    return new EnvoyAdmin(this.node(id).adminSocket);
  }

  /** Rewrites two files of the first caller, as somebody without this project would write them. */
  async #addPeer(): Promise<void> {
    const { dir, files } = this.node(FIRST_CALLER);
    const clusters = resources(files[PATHS.clusters]);
    const plain = clusters.find(({ name }) => name === `${TARGET}.baseline`) ?? {};
    const { load_balancing_policy: _policy, eds_cluster_config: _eds, ...rest } = plain;
    const [assignment = {}] = resources(files[PATHS.endpoints(`${TARGET}.baseline`)]);
    const peer = {
      ...rest,
      name: PEER,
      alt_stat_name: PEER,
      type: 'STATIC',
      lb_policy: 'ROUND_ROBIN',
      load_assignment: { ...assignment, cluster_name: PEER },
      // Its defaults: five 5xx in a row, looked at every 10 s, out for 30 s.
      outlier_detection: { max_ejection_percent: 50 },
    };
    await writeByRename(join(dir, PATHS.clusters), discoveryFile('cluster', [...clusters, peer]));
    const path = PATHS.routes('outbound');
    const [routes = {}] = resources(files[path]);
    const host = { name: PEER, domains: [PEER], routes: [{ match: { prefix: '/' }, route: { cluster: PEER } }] };
    const hosts = (routes.virtual_hosts ?? []) as unknown as readonly JsonObject[];
    await writeByRename(join(dir, path), discoveryFile('routes', [{ ...routes, virtual_hosts: [host, ...hosts] }]));
    await waitUntil(
      'the peer',
      async () => {
        const { statusCode, body } = await request(this.url(CALLERS[0]), { headers: { host: PEER } });
        await body.dump();
        return statusCode === 200 ? found(undefined) : notYet(`status ${statusCode}`);
      },
      { deadlineMs: 10_000 },
    );
  }
}

function resources(text = '{"resources":[]}'): JsonObject[] {
  return resourcesOf(text).map(({ '@type': _, ...resource }) => resource);
}

function centreOf({ network }: HealStageOptions) {
  return { address: `${network}.250.1`, port: 7070 };
}

function fileOf({ state }: HealStageOptions): string {
  return join(state.root, 'heal.yaml');
}

function configuration(options: HealStageOptions): string {
  const { address, port } = centreOf(options);
  const command = `command: [${process.execPath}, ${options.app}]`;
  return [
    'mesh: heal',
    `centre: { address: ${address}:${port}, start: ${options.centre ?? true} }`,
    ...(options.isolation ? ['isolation: { drainSeconds: 1 }'] : []),
    `gateways: [{ name: gateway, port: 8080, routes: [{ prefix: /, service: ${CALLERS[0]} }] }]`,
    'services:',
    ...CALLERS.map((name) => `  ${name}: { ${command}, calls: [${TARGET}], instances: { base: {} } }`),
    `  ${TARGET}:`,
    `    ${command}`,
    '    calls: []',
    '    healing: true',
    '    healthCheck: { interval: 1s, timeout: 3s }',
    `    instances: { base: { replicas: ${options.replicas ?? 3} } }`,
    '',
  ].join('\n');
}
