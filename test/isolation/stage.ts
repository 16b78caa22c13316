import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Instance } from '../../envoy-configs/mesh.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { Deployment } from '../../harness/apply/deployment.ts';
import { parseConfig } from '../../harness/config/load.ts';
import type { DriveReport } from '../../harness/drive/drive.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import type { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin, type HostStatus } from '../../harness/envoy/admin.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { ask, bookinfoBundle, temporaryState } from '../e2e/support.ts';
import { type MixedLoad, underLoad } from './load.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Starts an application that streams; stands in the text of a configuration. */
export const STREAMING = `command: [${process.execPath}, ${join(import.meta.dirname, 'app.mjs')}]`;

/** A mesh that runs in this process, and what tests of isolation ask of it. */
export class IsolationStage {
  readonly state: StateFolder;
  readonly driver: ProcessDriver;
  readonly deployment: Deployment;
  readonly gateway: string;
  private readonly remove: () => Promise<void>;

  private constructor(
    state: StateFolder,
    driver: ProcessDriver,
    deployment: Deployment,
    network: string,
    remove: () => Promise<void>,
  ) {
    this.state = state;
    this.driver = driver;
    this.deployment = deployment;
    this.gateway = `http://${network}.0.1:8080`;
    this.remove = remove;
  }

  static async open(network: string, text: string): Promise<IsolationStage> {
    const { state, remove } = await temporaryState();
    const driver = new ProcessDriver({
      state,
      envoy: (await resolveEnvoy()).path,
      bookinfo: await bookinfoBundle(),
    });
    const deployment = await Deployment.start(
      { state, driver, driverName: 'process', wasmPath: join(ROOT, 'build/causeway.wasm'), resolve: { network } },
      load(text),
    );
    return new IsolationStage(state, driver, deployment, network, remove);
  }

  async apply(text: string): Promise<void> {
    await this.deployment.apply(load(text));
  }

  instance(id: string): Instance {
    const found = this.deployment.mesh.services.flatMap(({ instances }) => instances).find((one) => one.id === id);
    if (!found) throw new Error(`no instance ${id}`);
    return found;
  }

  /** Straight to an instance's sidecar, past every caller's choice. */
  straight(id: string, path = '/ratings/1', port?: number) {
    const { address, ports } = this.instance(id);
    return ask(`http://${address}:${port ?? ports.inbound}${path}`);
  }

  /** Sum of an instance's own counters whose names match. */
  async counted(id: string, pattern: string): Promise<number> {
    const stats = await new EnvoyAdmin(this.node(id).adminSocket).stats(pattern);
    return [...stats.values()].reduce((sum, value) => sum + value, 0);
  }

  /** Requests to the gateway, 30 % of them POSTs, until `work` has ended. */
  under(rate: number, work: () => Promise<void>, load: MixedLoad = {}): Promise<DriveReport> {
    return underLoad(this.gateway, rate, work, load);
  }

  /** The proxy of an instance or a gateway. */
  node(id: string): RenderedNode {
    const plan = this.deployment.plans.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no node ${id}`);
    return plan.node;
  }

  /** POSTs whose name begins so that were not begun exactly once, of those that were begun. */
  async notOnce(name: string): Promise<readonly string[]> {
    const posts = [...(await this.posts())].filter(([post]) => post.startsWith(name));
    if (posts.length === 0) throw new Error(`no POST ${name}… was begun`);
    return posts.filter(([, begun]) => begun !== 1).map(([post]) => post);
  }

  /** The gateway's first choice does not have the instance. */
  async unhealthy(id: string): Promise<boolean> {
    const { address, service } = this.instance(id);
    const hosts = await this.hosts(this.node('gateway').adminSocket, `${service}.lanes`);
    return hosts.some((host) => host.address === address && host.unhealthy.length > 0);
  }

  /** How often each POST was begun, in all applications together. */
  async posts(): Promise<Map<string, number>> {
    const begun = new Map<string, number>();
    for (const { node, app } of this.deployment.plans) {
      if (!app) continue;
      for (const { event, post } of await this.driver.journal(node.id)) {
        if (event === 'begin') begun.set(post, (begun.get(post) ?? 0) + 1);
      }
    }
    return begun;
  }

  /** Which instance each request of the gateway went to, by its access log from an offset on, with its time. */
  served(): { at: number; instance: string }[] {
    return readFileSync(this.node('gateway').accessLog, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const { time, instance } = JSON.parse(line) as { time: string; instance: string };
        return { at: Date.parse(time), instance };
      });
  }

  hosts(adminSocket: string, cluster: string): Promise<HostStatus[]> {
    return new EnvoyAdmin(adminSocket).hosts(cluster);
  }

  async close(): Promise<void> {
    await this.deployment.down();
    await this.remove();
  }
}

function load(text: string) {
  return { file: 'causeway.yaml', text, config: parseConfig(text, 'causeway.yaml') };
}
