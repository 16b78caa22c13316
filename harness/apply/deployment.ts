import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import { type ResolveOptions, resolveMesh } from '../../envoy-configs/resolve.ts';
import { issueTokens } from '../centre/tokens.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Driver, type NodePlan, type Progress, planOf } from '../drivers/driver.ts';
import type { StateFolder } from '../drivers/state.ts';
import { realClock } from '../process/wait.ts';
import { issueSecrets } from '../tls/secrets.ts';
import { type Changes, compare, inOrder, isEmpty, type NodeUpdate } from './changes.ts';
import { hostsHealthy } from './healthy.ts';
import { goOffline } from './offline.ts';
import { pullBack, pushUpdate, writeByRename } from './push.ts';
import { type DeploymentRecord, type DriverName, dropRecord, readRecord, withLock, writeRecord } from './record.ts';
import { tlsReady } from './tls-ready.ts';
import { risingServices, tlsSteps } from './tls-steps.ts';
import { installSteps, uninstallSteps } from './uninstall-steps.ts';

export interface DeploymentOptions {
  readonly state: StateFolder;
  readonly driver: Driver;
  readonly driverName: DriverName;
  /** The module that is wanted: one that runs is replaced by another path's, file by file, when the next configuration is applied. */
  readonly wasmPath: string;
  /** Overrides of addresses; leases are the deployment's own business. */
  readonly resolve?: Omit<ResolveOptions, 'leases'>;
  /** Milliseconds for one Envoy to report what it was given. Default 10,000. */
  readonly pushTimeoutMs?: number;
}

export interface ApplyResult {
  readonly changed: boolean;
  readonly changes: Changes;
  readonly elapsedMs: number;
}

/**
 * A mesh that runs, and the way from one configuration to the next. All or nothing: when one Envoy refuses, or an instance
 * does not start, everything is brought back to what ran before.
 */
export class Deployment {
  private record: DeploymentRecord;
  private running: readonly NodePlan[];
  private readonly options: DeploymentOptions;

  private constructor(options: DeploymentOptions, record: DeploymentRecord) {
    this.options = options;
    this.record = record;
    this.running = this.plansOf(record.mesh, record.wasmPath);
  }

  /** Starts a mesh that does not run yet; nothing is left behind when that fails. */
  static async start(
    options: DeploymentOptions,
    loaded: LoadedConfig,
    progress: Progress = () => {},
  ): Promise<Deployment> {
    const { state, driver } = options;
    await state.create();
    const record: DeploymentRecord = {
      layout: 1,
      driver: options.driverName,
      file: loaded.file,
      text: loaded.text,
      mesh: resolveMesh(loaded.config, options.resolve),
      wasmPath: options.wasmPath,
      agentWasmPath: options.wasmPath,
    };
    return withLock(state, async () => {
      const deployment = new Deployment(options, record);
      await issueSecrets(record.mesh, state);
      await issueTokens(record.mesh, state);
      await driver.up(deployment.running, progress);
      await writeRecord(state, record);
      return deployment;
    });
  }

  /** The mesh that an earlier command started; undefined when the state folder knows of none. */
  static open(options: DeploymentOptions): Deployment | undefined {
    const record = readRecord(options.state);
    return record && new Deployment(options, record);
  }

  get mesh(): Mesh {
    return this.record.mesh;
  }

  /** Text of the configuration that runs. */
  get text(): string {
    return this.record.text;
  }

  get plans(): readonly NodePlan[] {
    return this.running;
  }

  /** Takes note of what another command may have applied meanwhile. */
  reload(): void {
    const record = readRecord(this.options.state);
    if (!record || (record.text === this.record.text && record.wasmPath === this.record.wasmPath)) return;
    this.record = record;
    this.running = this.plansOf(record.mesh, record.wasmPath);
  }

  /** What applying a configuration would do. */
  preview(loaded: LoadedConfig): { mesh: Mesh; plans: readonly NodePlan[]; changes: Changes } {
    const mesh = this.resolve(loaded);
    const plans = this.plansOf(mesh, this.options.wasmPath);
    return { mesh, plans, changes: compare(this.running, plans) };
  }

  /** Brings the mesh to a configuration. A signal that fires midway has everything brought back. */
  async apply(loaded: LoadedConfig, progress: Progress = () => {}, signal?: AbortSignal): Promise<ApplyResult> {
    const start = performance.now();
    return withLock(this.options.state, async () => {
      this.reload();
      const { mesh, plans, changes } = this.preview(loaded);
      const suited = this.record.mesh.plain === undefined;
      const steps = suited ? tlsSteps(this.record.mesh, mesh) : installSteps(mesh);
      const back = (origin: Mesh) => (suited ? tlsSteps(this.record.mesh, origin) : this.backwards(steps, origin));
      await this.walk(steps, back, progress, signal);
      this.record = { ...this.record, file: loaded.file, text: loaded.text, mesh };
      this.running = plans;
      await writeRecord(this.options.state, this.record);
      return { changed: !isEmpty(changes), changes, elapsedMs: performance.now() - start };
    });
  }

  /** What {@link uninstall} would do, step by step. Throws {@link NeedsSuite}. */
  previewUninstall(): { name: string; changes: Changes }[] {
    let running = this.running;
    return uninstallSteps(this.record.mesh).map(({ name, mesh }) => {
      const plans = this.plansOf(mesh, this.record.wasmPath);
      const changes = compare(running, plans);
      running = plans;
      return { name, changes };
    });
  }

  /**
   * Takes the suite out of a mesh that goes on serving; every call is the baseline's then. All or nothing, like
   * {@link apply}, by which the suite comes back. Throws {@link NeedsSuite}.
   */
  async uninstall(progress: Progress = () => {}, signal?: AbortSignal): Promise<void> {
    await withLock(this.options.state, async () => {
      this.reload();
      const meshes = uninstallSteps(this.record.mesh).map(({ mesh }) => mesh);
      await this.walk(meshes, (origin) => this.backwards(meshes, origin), progress, signal, this.record.mesh.drainMs);
      await writeRecord(this.options.state, this.record);
    });
  }

  /** The steps that have been made, from the one before the last to where they began. */
  private backwards(steps: readonly Mesh[], origin: Mesh): Mesh[] {
    return [...steps.slice(0, steps.indexOf(this.record.mesh)).reverse(), origin];
  }

  /**
   * Goes through several meshes in turn, each one whole, with `restMs` between two; when one does not work, `back` to where
   * it began.
   */
  private async walk(
    steps: readonly Mesh[],
    back: (origin: Mesh) => readonly Mesh[],
    progress: Progress,
    signal: AbortSignal | undefined,
    restMs = 0,
  ): Promise<void> {
    const { mesh: origin, wasmPath: originModule } = this.record;
    try {
      for (const mesh of steps) {
        const rising = risingServices(this.record.mesh, mesh);
        if (rising.length > 0) await tlsReady(this.running, rising, this.options.pushTimeoutMs ?? 10_000);
        await this.step(mesh, this.options.wasmPath, progress, signal);
        if (restMs > 0 && mesh !== steps.at(-1)) await realClock.sleep(restMs);
      }
    } catch (error) {
      if (this.record.mesh !== origin) {
        for (const mesh of back(origin)) await this.step(mesh, originModule, progress, undefined);
      }
      throw error;
    }
  }

  private async step(mesh: Mesh, wasmPath: string, progress: Progress, signal: AbortSignal | undefined): Promise<void> {
    const plans = this.plansOf(mesh, wasmPath);
    const changes = compare(this.running, plans);
    if (!isEmpty(changes)) {
      await issueSecrets(mesh, this.options.state);
      await issueTokens(mesh, this.options.state);
      await this.transition(mesh, changes, progress, signal);
    }
    const { agentWasmPath = this.record.wasmPath } = this.record;
    this.record = { ...this.record, mesh, wasmPath, agentWasmPath };
    this.running = plans;
  }

  /**
   * Restarts instances one after the other, application and proxy: each goes offline, finishes what it has, ends, and is
   * back at every caller before the next one goes.
   */
  async restart(ids: readonly string[], progress: Progress = () => {}, signal?: AbortSignal): Promise<void> {
    await withLock(this.options.state, async () => {
      this.reload();
      for (const id of ids) {
        signal?.throwIfAborted();
        await this.restartOne(this.planOf(id), progress);
      }
    });
  }

  private async restartOne(plan: NodePlan, progress: Progress): Promise<void> {
    const { mesh } = this.record;
    const service = mesh.services.find(({ name }) => name === plan.app?.instance.service);
    const offline = service !== undefined && (await goOffline(mesh, plan, service.healthCheck));
    if (offline) {
      await this.options.driver.stop(plan.node.id);
      await this.options.driver.start(plan);
    } else await this.replaceAll([plan], [], () => {});
    const callers = this.running.map((caller) => ({ plan: caller, before: caller.node, files: [], dropped: [] }));
    const delayMs = (mesh.lossless?.delaySeconds ?? 0) * 1000;
    await Promise.all(callers.map((caller) => this.seesHealthy(caller, [plan], delayMs)));
    progress(`restarted ${plan.node.id}`);
  }

  private planOf(id: string): NodePlan {
    const plan = this.running.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no node ${id}`);
    return plan;
  }

  async down(): Promise<void> {
    await this.options.driver.down();
    dropRecord(this.options.state);
  }

  private async transition(
    mesh: Mesh,
    changes: Changes,
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      await this.startAll(changes.added, undo, progress);
      signal?.throwIfAborted();
      await this.replaceAll(changes.replaced, undo, progress);
      await this.pushAll(inOrder(changes.updated, this.record.mesh, mesh), changes.added, undo, progress, signal);
    } catch (error) {
      progress('bringing everything back');
      const failures: string[] = [];
      for (const step of undo.reverse()) {
        await step().catch((failure: unknown) => failures.push((failure as Error).message));
      }
      if (failures.length === 0) throw error;
      throw new Error(`${(error as Error).message}\nand bringing back failed: ${failures.join('; ')}`, {
        cause: error,
      });
    }
    await this.stopAll(changes.removed, progress);
    this.dropFiles(changes.updated);
  }

  private async startAll(added: readonly NodePlan[], undo: (() => Promise<unknown>)[], progress: Progress) {
    const { driver } = this.options;
    for (const plan of added) undo.push(() => driver.stop(plan.node.id));
    const results = await Promise.allSettled(
      added.map(async (plan) => {
        await driver.start(plan);
        progress(`started ${plan.node.id}`);
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** One after the other: its callers are told to leave it, it restarts, its callers get it back. */
  private async replaceAll(
    replaced: readonly NodePlan[],
    undo: (() => Promise<unknown>)[],
    progress: Progress,
  ): Promise<void> {
    const { driver } = this.options;
    for (const plan of replaced) {
      const { id } = plan.node;
      const old = this.running.find(({ node }) => node.id === id);
      const callers = this.callersWithout(id);
      for (const update of callers) undo.push(() => this.takeBack(update));
      undo.push(async () => {
        if (!old) return;
        await driver.stop(id).catch(() => undefined);
        await driver.start(old);
      });
      for (const update of callers) await this.push(update);
      if (callers.length > 0) await realClock.sleep(this.record.mesh.drainMs);
      await driver.stop(id);
      await driver.start(plan);
      for (const update of callers) await this.takeBack(update);
      progress(`replaced ${id}`);
    }
  }

  /** What takes an instance out of its callers' endpoints; nothing where no other instance could serve instead. */
  private callersWithout(id: string): readonly NodeUpdate[] {
    const { mesh } = this.record;
    const service = mesh.services.find(({ instances }) => instances.some((instance) => instance.id === id));
    if (!service || service.instances.length < 2) return [];
    const services = mesh.services.map((other) =>
      other === service ? { ...other, instances: other.instances.filter((instance) => instance.id !== id) } : other,
    );
    return compare(this.running, this.plansOf({ ...mesh, services }, this.record.wasmPath)).updated;
  }

  private async pushAll(
    groups: readonly (readonly NodeUpdate[])[],
    added: readonly NodePlan[],
    undo: (() => Promise<unknown>)[],
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const total = groups.flat().length;
    let done = 0;
    for (const group of groups) {
      signal?.throwIfAborted();
      for (const update of group) undo.push(() => this.takeBack(update));
      const results = await Promise.allSettled(
        group.map(async (update) => {
          await this.push(update);
          await this.options.driver.start(update.plan);
          progress(`${++done}/${total} Envoys report the new configuration (${update.plan.node.id})`);
        }),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
      await Promise.all(group.map((update) => this.seesHealthy(update, added)));
    }
  }

  private async push(update: NodeUpdate): Promise<void> {
    if (await this.isUp(update)) await pushUpdate(update, this.pushOptions(update));
    else await this.writeOnly(update.plan.node.dir, update.files, update.plan.node.files);
  }

  private async takeBack(update: NodeUpdate): Promise<void> {
    if (await this.isUp(update)) await pullBack(update, this.pushOptions(update));
    else await this.writeOnly(update.before.dir, update.files, update.before.files);
    const old = this.running.find(({ node }) => node.id === update.plan.node.id);
    if (old) await this.options.driver.start(old);
  }

  /** A node that has been killed reads its files when it is revived. */
  private async isUp({ plan }: NodeUpdate): Promise<boolean> {
    const status = (await this.options.driver.status()).find(({ id }) => id === plan.node.id);
    return status !== undefined && (status.sidecar.state === 'running' || status.sidecar.state === 'paused');
  }

  private async writeOnly(dir: string, paths: readonly string[], files: Readonly<Record<string, string>>) {
    for (const path of paths) {
      const text = files[path];
      if (text !== undefined) await writeByRename(join(dir, path), text);
    }
  }

  private pushOptions(update: NodeUpdate) {
    return {
      envoyLog: this.options.state.log(update.plan.node.id, 'envoy'),
      deadlineMs: (this.options.pushTimeoutMs ?? 10_000) + this.record.mesh.listenerDrainSeconds * 1000,
    };
  }

  /** New instances count from their first passed health check; tags for them are made only afterwards. */
  private async seesHealthy(update: NodeUpdate, added: readonly NodePlan[], delayMs = 0): Promise<void> {
    const addresses = new Set(added.flatMap(({ app }) => (app && !app.isolated ? [app.instance.address] : [])));
    if (addresses.size === 0 || !(await this.isUp(update))) return;
    await hostsHealthy(update.plan.node, addresses, delayMs + (this.options.pushTimeoutMs ?? 10_000));
  }

  private async stopAll(removed: readonly NodePlan[], progress: Progress): Promise<void> {
    if (removed.length === 0) return;
    // Nobody calls them any more; what they have in hand they may finish.
    await realClock.sleep(this.record.mesh.drainMs);
    for (const { node } of removed) {
      await this.options.driver.stop(node.id);
      rmSync(node.dir, { recursive: true, force: true });
      progress(`stopped ${node.id}`);
    }
  }

  private dropFiles(updates: readonly NodeUpdate[]): void {
    for (const { plan, dropped } of updates) {
      for (const path of dropped) rmSync(join(plan.node.dir, path), { force: true });
    }
  }

  private resolve(loaded: LoadedConfig): Mesh {
    const leases = Object.fromEntries(
      this.record.mesh.services.flatMap(({ instances }) => instances.map(({ id, address }) => [id, address])),
    );
    return resolveMesh(loaded.config, { ...this.options.resolve, leases });
  }

  /** The agent's module is read when an Envoy starts, so it stays the one that the mesh was started with. */
  private plansOf(mesh: Mesh, wasmPath: string): readonly NodePlan[] {
    const { agentWasmPath = this.record.wasmPath } = this.record;
    return planOf(mesh, renderMesh(mesh, { ...this.options.state.target(wasmPath), agentWasmPath }));
  }
}
