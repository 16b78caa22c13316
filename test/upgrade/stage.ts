import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { NodeUpdate } from '../../harness/apply/changes.ts';
import { pushUpdate } from '../../harness/apply/push.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { type NodePlan, planOf } from '../../harness/drivers/driver.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { bookinfoBundle } from '../e2e/support.ts';
import type { Build } from './previous.ts';

export type Version = 'old' | 'new';

const LONGEST_PUSH_MS = 20_000;
const LONGEST_END_MS = 10_000;

/**
 * A running mesh whose proxies change between two builds, module and configurations, by files alone: no Envoy restarts. It
 * starts with the old build, bootstraps included.
 */
export class UpgradeStage {
  readonly mesh: Mesh;
  readonly #driver: ProcessDriver;
  readonly #state: StateFolder;
  readonly #folder: string;
  readonly #plans: Readonly<Record<Version, ReadonlyMap<string, NodePlan>>>;
  readonly #running = new Map<string, Version>();

  private constructor(
    mesh: Mesh,
    driver: ProcessDriver,
    state: StateFolder,
    folder: string,
    plans: Readonly<Record<Version, ReadonlyMap<string, NodePlan>>>,
  ) {
    this.mesh = mesh;
    this.#driver = driver;
    this.#state = state;
    this.#folder = folder;
    this.#plans = plans;
  }

  /** `text`: a `causeway.yaml` of Bookinfo services that both builds understand. */
  static async open(network: string, text: string, builds: Readonly<Record<Version, Build>>): Promise<UpgradeStage> {
    const folder = await mkdtemp(join(tmpdir(), 'cw-'));
    try {
      const state = new StateFolder(join(folder, 'mesh'));
      const file = join(folder, 'causeway.yaml');
      await writeFile(file, text);
      const mesh = resolveMesh(parseConfig(text, file), { network });
      const plansOf = async (build: Build) => {
        const plans = planOf(mesh, await render(build, { mesh, state, file, network }));
        return new Map(plans.map((plan) => [plan.node.id, plan]));
      };
      const plans = { old: await plansOf(builds.old), new: await plansOf(builds.new) };
      const envoy = (await resolveEnvoy()).path;
      const driver = new ProcessDriver({ state, envoy, bookinfo: await bookinfoBundle() });
      const stage = new UpgradeStage(mesh, driver, state, folder, plans);
      await driver.up([...plans.old.values()]);
      for (const id of plans.old.keys()) stage.#running.set(id, 'old');
      return stage;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Proxies, callees before callers, the gateway last. */
  get ids(): readonly string[] {
    return [...this.#running.keys()].reverse();
  }

  get gateway(): string {
    const [gateway] = this.mesh.gateways;
    return `http://${gateway?.address}:${gateway?.port}`;
  }

  get gatewayId(): string {
    return this.mesh.gateways[0]?.id ?? '';
  }

  versionOf(id: string): Version {
    return this.#running.get(id) ?? 'old';
  }

  /** Gives one proxy a version's module and configurations, and waits until it reports them. Milliseconds that took. */
  async change(id: string, to: Version): Promise<number> {
    const before = this.#plan(id, this.versionOf(id)).node;
    const plan = this.#plan(id, to);
    const { files, bootstrap } = plan.node;
    const changed = Object.keys(files).filter((path) => path !== bootstrap && files[path] !== before.files[path]);
    const update: NodeUpdate = { plan, before, files: changed, dropped: [] };
    const start = performance.now();
    await pushUpdate(update, { envoyLog: this.#state.log(id, 'envoy'), deadlineMs: LONGEST_PUSH_MS });
    this.#running.set(id, to);
    return performance.now() - start;
  }

  /** Waits until no proxy has a virtual machine of a module that it no longer uses. Virtual machines that there are. */
  async oldOnesEnded(expected: ReadonlyMap<string, number>): Promise<void> {
    for (const [id, count] of expected) {
      const look = async () => {
        const active = await this.machines(id);
        return active === count ? found(active) : notYet(`${active} instead of ${count}`);
      };
      await waitUntil(`${id}: virtual machines`, look, { deadlineMs: LONGEST_END_MS, intervalMs: 100 });
    }
  }

  /** Virtual machines of one proxy. */
  async machines(id: string): Promise<number> {
    const { adminSocket } = this.#plan(id, 'old').node;
    return (await new EnvoyAdmin(adminSocket).stats('^wasm\\..*\\.active$')).values().next().value ?? 0;
  }

  async allMachines(): Promise<Map<string, number>> {
    return new Map(await Promise.all(this.ids.map(async (id) => [id, await this.machines(id)] as const)));
  }

  async close(): Promise<void> {
    await this.#driver.down();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #plan(id: string, version: Version): NodePlan {
    const plan = this.#plans[version].get(id);
    if (!plan) throw new Error(`the ${version} build renders no proxy ${id}`);
    return plan;
  }
}

interface Place {
  readonly mesh: Mesh;
  readonly state: StateFolder;
  readonly file: string;
  readonly network: string;
}

/** What a build makes of the file: by its own renderer, which writes where this tree's nodes will be. */
async function render(build: Build, { mesh, state, file, network }: Place): Promise<RenderedNode[]> {
  const nodes = renderMesh(mesh, state.target(build.wasmPath));
  if (build.cli === null) return nodes;
  const options = ['--file', file, '--network', network, '--wasm', build.wasmPath];
  await promisify(execFile)(process.execPath, [build.cli, ...options, 'render', '--out', state.root]);
  const rendered = await Promise.all(nodes.map((node) => asWritten(node, build.name)));
  await rm(state.root, { recursive: true, force: true });
  return rendered;
}

async function asWritten(node: RenderedNode, name: string): Promise<RenderedNode> {
  const entries = await readdir(node.dir, { recursive: true, withFileTypes: true });
  const files: Record<string, string> = {};
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const path = join(entry.parentPath, entry.name);
    files[path.slice(node.dir.length + 1)] = await readFile(path, 'utf8');
  }
  if (!files[node.bootstrap]?.includes(JSON.stringify(node.adminSocket))) {
    throw new Error(`${name}: found no admin socket ${node.adminSocket} in its bootstrap of ${node.id}`);
  }
  return { ...node, files };
}
