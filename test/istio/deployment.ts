import { join } from 'node:path';
import { type IstioOptions, type PluginApi, resolveIstio } from '../../envoy-configs/istio/options.ts';
import { type IstioFile, renderIstio } from '../../envoy-configs/istio/render.ts';
import { allInstances, type Mesh } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { LoadedConfig } from '../../harness/config/load.ts';
import type { RunningMesh } from '../../harness/demo/stage.ts';
import type { NodePlan } from '../../harness/drivers/driver.ts';
import type { ProcessDriver } from '../../harness/drivers/process.ts';
import type { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { found, GiveUp, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import { freePort } from '../support/free-port.ts';
import { ControlPlane, type ResourceFiles } from './control-plane.ts';
import { istioPlans } from './proxy.ts';
import { clusterFiles, withWorkloads } from './workloads.ts';

export interface IstioDeploymentOptions {
  readonly state: StateFolder;
  readonly driver: ProcessDriver;
  readonly wasmPath: string;
  readonly network: string;
  readonly api: PluginApi;
}

/** What one configuration means under Istio. */
interface Meaning {
  readonly mesh: Mesh;
  readonly istio: IstioOptions;
  readonly rendered: readonly IstioFile[];
  readonly plans: readonly NodePlan[];
}

const APPLIED_MS = 15_000;

/** The demo's mesh on Istio's configuration: `kubectl apply` is a reload of the control plane, Pods are processes. */
export class IstioDeployment implements RunningMesh {
  private readonly options: IstioDeploymentOptions;
  private readonly xds: string;
  private readonly plane: ControlPlane;
  private readonly notReady = new Set<string>();
  /** Pods whose proxy is not up yet; no endpoint of theirs is known to anybody. */
  private starting: ReadonlySet<string> = new Set();
  /** What concerns the proxies of Pods that are going: theirs until they have ended. */
  private leaving: ResourceFiles = {};
  /** What {@link kubectl} has deleted of the rendering. */
  private readonly deleted = new Set<string>();
  /** Resources that are nobody's rendering. */
  private own: readonly object[] = [];
  private current: Meaning;
  private loaded: LoadedConfig;

  private constructor(
    options: IstioDeploymentOptions,
    xds: string,
    plane: ControlPlane,
    current: Meaning,
    loaded: LoadedConfig,
  ) {
    this.options = options;
    this.xds = xds;
    this.plane = plane;
    this.current = current;
    this.loaded = loaded;
  }

  static async start(options: IstioDeploymentOptions, loaded: LoadedConfig): Promise<IstioDeployment> {
    const { state, driver, network } = options;
    await state.create();
    const xds = `${network}.0.2:${await freePort(`${network}.0.2`)}`;
    const first = meaningOf(options, loaded, xds, undefined);
    const plane = await ControlPlane.start(xds, join(state.root, 'resources'), filesOf(options, first));
    try {
      await driver.up(first.plans);
    } catch (error) {
      await plane.stop();
      throw error;
    }
    const running = new IstioDeployment(options, xds, plane, first, loaded);
    await running.accepted(new Map());
    return running;
  }

  get mesh(): Mesh {
    return this.current.mesh;
  }

  get text(): string {
    return this.loaded.text;
  }

  get plans(): readonly NodePlan[] {
    return this.current.plans;
  }

  get resources(): readonly IstioFile[] {
    return this.current.rendered;
  }

  /** The resources, then new Pods, which are endpoints once they are ready, then what is gone. */
  async apply(loaded: LoadedConfig): Promise<void> {
    const before = this.current;
    const next = meaningOf(this.options, loaded, this.xds, before.mesh);
    const known = new Set(before.plans.map(({ node }) => node.id));
    const wanted = new Set(next.plans.map(({ node }) => node.id));
    // An application's environment comes with its Pod.
    const changed = next.plans.filter(({ node, app }) => {
      const old = before.plans.find((plan) => plan.node.id === node.id);
      return old !== undefined && JSON.stringify(old.app?.instance.env) !== JSON.stringify(app?.instance.env);
    });
    const versions = await this.versions();
    this.current = next;
    this.loaded = loaded;
    const added = next.plans.filter(({ node }) => !known.has(node.id));
    this.starting = new Set(added.map(({ node }) => node.id));
    this.leaving = filesOf(this.options, before);
    await this.plane.apply(() => this.files());
    for (const plan of added) await this.options.driver.start(plan);
    this.starting = new Set();
    if (added.length > 0) await this.plane.apply(() => this.files());
    for (const plan of changed) {
      await this.options.driver.stop(plan.node.id);
      await this.options.driver.start(plan);
    }
    await this.accepted(versions);
    const removed = before.plans.filter(({ node }) => !wanted.has(node.id));
    if (removed.length > 0) await realClock.sleep(next.mesh.drainMs);
    for (const { node } of removed) await this.options.driver.stop(node.id);
    this.leaving = {};
    if (removed.length > 0) await this.plane.apply(() => this.files());
  }

  /** What the kubelet does with a Pod whose readiness probe fails, and when it passes again. */
  async setReady(id: string, ready: boolean): Promise<void> {
    if (this.notReady.has(id) === !ready) return;
    if (ready) this.notReady.delete(id);
    else this.notReady.add(id);
    await this.plane.apply(() => this.files());
  }

  /** `kubectl apply` of somebody's own resources. */
  async add(own: readonly object[]): Promise<void> {
    const versions = await this.versions();
    this.own = [...this.own, ...own];
    await this.plane.apply(() => this.files());
    await this.accepted(versions);
  }

  /** Runs lines of `kubectl delete` one after the other, without waiting between them, and waits until proxies have it all. */
  async kubectl(lines: readonly string[]): Promise<void> {
    const versions = await this.versions();
    for (const line of lines) {
      const [, kind, name, namespace] =
        /^kubectl delete (\S+) (\S+) --namespace (\S+) --ignore-not-found$/.exec(line) ?? [];
      if (kind === undefined) throw new Error(`not a line that deletes: ${line}`);
      this.deleted.add(`${kind}/${namespace}/${name}`);
      await this.plane.apply(() => this.files());
    }
    await this.accepted(versions);
  }

  async stop(): Promise<void> {
    await this.options.driver.down();
    await this.plane.stop();
  }

  private files() {
    const ready = (id: string) => !this.notReady.has(id) && !this.starting.has(id);
    const left = this.current.rendered.map((file) => ({
      ...file,
      resources: file.resources.filter(
        ({ kind, metadata }) => !this.deleted.has(`${kind.toLowerCase()}/${metadata.namespace}/${metadata.name}`),
      ),
    }));
    const files = filesOf(this.options, { ...this.current, rendered: left }, ready);
    return { ...withWorkloads(files, this.leaving), '95-own': this.own };
  }

  /** Counts of what each Envoy has taken and refused so far. */
  private async versions(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const { node } of this.current.plans) {
      const stats = await new EnvoyAdmin(node.adminSocket)
        .stats('(update_rejected|config_fail)$')
        .catch(() => new Map());
      counts.set(
        node.id,
        [...stats.values()].reduce((sum: number, value: number) => sum + value, 0),
      );
    }
    return counts;
  }

  /**
   * Waits until every Envoy that runs has nothing on its way any more, and fails when one has refused something since
   * `before`. A push that changes nothing for a proxy is not sent to it, so quiet for a while is all that can be waited for.
   */
  private async accepted(before: ReadonlyMap<string, number>): Promise<void> {
    const status = await this.options.driver.status();
    const running = status.filter(({ sidecar }) => sidecar.state === 'running').map(({ id }) => id);
    const settled = async ({ node }: NodePlan) => {
      const admin = new EnvoyAdmin(node.adminSocket);
      let last = '';
      let since = performance.now();
      const look = async () => {
        const stats = await admin.stats(
          '(update_success|update_rejected|config_fail|config_reload|_warming.*|_draining)$',
        );
        const refused = [...stats]
          .filter(([name]) => /update_rejected|config_fail$/.test(name))
          .reduce((sum, [, value]) => sum + value, 0);
        if (refused > (before.get(node.id) ?? 0)) throw new GiveUp(`${node.id} refuses what Istio sends`);
        // What drains still serves connections that are open, as it was told before.
        const between = [...stats].filter(([name, value]) => /warming|draining/.test(name) && value > 0);
        const now = JSON.stringify([...stats]);
        if (now !== last || between.length > 0) {
          last = now;
          since = performance.now();
        }
        return performance.now() - since > QUIET_MS ? found(undefined) : notYet('configuration on its way');
      };
      await waitUntil(`${node.id} has what Istio says`, look, { deadlineMs: APPLIED_MS, intervalMs: 50 });
    };
    await Promise.all(this.current.plans.filter((plan) => running.includes(plan.node.id)).map(settled));
  }
}

/** Istio pushes at once here, and Envoy takes milliseconds. */
const QUIET_MS = 400;

function meaningOf(
  options: IstioDeploymentOptions,
  { config }: LoadedConfig,
  xds: string,
  before: Mesh | undefined,
): Meaning {
  const leases = Object.fromEntries((before ? allInstances(before) : []).map(({ id, address }) => [id, address]));
  const mesh = resolveMesh(config, { network: options.network, leases });
  const module = { url: `file://${options.wasmPath}`, sha256: '' };
  const istio = resolveIstio(config.istio, module, options.api);
  const rendered = renderIstio(mesh, istio);
  const target = options.state.target(options.wasmPath);
  return { mesh, istio, rendered, plans: istioPlans(mesh, istio, rendered, target, xds) };
}

function filesOf(options: IstioDeploymentOptions, meaning: Meaning, ready?: (id: string) => boolean) {
  const target = options.state.target(options.wasmPath);
  return clusterFiles(meaning.mesh, meaning.istio, meaning.rendered, target, ready);
}
