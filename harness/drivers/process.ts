import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { type Envoy, envoyReady, refusedNothing, spawnEnvoy } from '../envoy/launcher.ts';
import { type Child, startChild } from '../process/child.ts';
import { type Clock, found, GiveUp, notYet, waitUntil } from '../process/wait.ts';
import {
  appEnvironment,
  bookinfoService,
  type Driver,
  isolatedAddresses,
  type JournalLine,
  type NodePlan,
  type NodeStatus,
  type Part,
  type PartStatus,
  type Progress,
} from './driver.ts';
import { Guard } from './guard.ts';
import { ensureInotify } from './limits.ts';
import { LOG_FLUSH_MS, type StateFolder, writeNodeFiles } from './state.ts';

export interface ProcessDriverOptions {
  state: StateFolder;
  /** Envoy binary. */
  envoy: string;
  /** `build/bookinfo.mjs`. */
  bookinfo: string;
  /** Words that start the healing centre, which then runs as long as the mesh does. Default: none is started. */
  centre?: readonly string[];
  /** Envoy log level. Default `warning`. */
  logLevel?: string;
  /** Milliseconds for one node to become ready. Default 30,000. */
  readyTimeoutMs?: number;
  clock?: Clock;
}

interface Running {
  plan: NodePlan;
  app?: Child;
  envoy?: Envoy;
  paused: Set<'app' | 'sidecar'>;
}

/** Local processes: one loopback address per instance, one application and one Envoy on it. */
export class ProcessDriver implements Driver {
  private readonly options: ProcessDriverOptions;
  private readonly nodes = new Map<string, Running>();
  private guard: Guard | undefined;
  private centre: Child | undefined;
  private asking: Promise<NodeStatus[]> | undefined;
  /** `down` was asked for: what an `up` under way has not started yet is not started any more. */
  private ending = false;

  constructor(options: ProcessDriverOptions) {
    this.options = options;
  }

  async up(plans: readonly NodePlan[], progress: Progress = () => {}): Promise<void> {
    this.ending = false;
    ensureInotify(plans, progress);
    await this.options.state.create();
    this.guard ??= new Guard(this.options.state.pids);
    const swept = await this.options.state.sweep();
    if (swept > 0) progress(`ended ${swept} processes that an earlier run left behind`);
    try {
      let ready = 0;
      // All applications first: an Envoy asks its hosts' health at once and again only after an interval.
      await eachOf(plans, async (plan) => this.startApp(this.known(plan)));
      progress(`${plans.filter((plan) => plan.app).length} applications listen`);
      await eachOf(plans, async (plan) => {
        await this.startEnvoyOf(this.known(plan));
        ready++;
        progress(`${ready}/${plans.length} Envoys ready (${plan.node.id})`);
      });
      await this.startCentre(progress);
      await this.settled();
      progress('every Envoy sees every host healthy');
    } catch (error) {
      await this.down();
      throw error;
    }
  }

  async start(plan: NodePlan): Promise<void> {
    this.ending = false;
    await this.options.state.create();
    this.guard ??= new Guard(this.options.state.pids);
    const node = this.known(plan);
    // Callers wait for its health. Both halves are waited for, so that whoever stops it after a failure finds all of it.
    const halves = await Promise.allSettled([this.startApp(node), this.startEnvoyOf(node)]);
    for (const half of halves) if (half.status === 'rejected') throw half.reason;
  }

  async stop(id: string): Promise<void> {
    const node = this.node(id);
    this.nodes.delete(id);
    await Promise.all([node.envoy?.stop(), node.app?.stop()]);
    this.options.state.forget(`${id}.envoy`);
    this.options.state.forget(`${id}.app`);
  }

  async kill(id: string, part: Part = 'both'): Promise<void> {
    // Signals first, waiting afterwards: both halves of a lost machine go at the same instant.
    const children = this.children(id, part);
    for (const [, child] of children) child.signal('SIGKILL');
    await Promise.all(children.map(([, child]) => child.exited));
    for (const [name] of children) this.node(id).paused.delete(name);
  }

  async pause(id: string, part: Part = 'both'): Promise<void> {
    for (const [name, child] of this.children(id, part)) {
      child.signal('SIGSTOP');
      this.node(id).paused.add(name);
    }
  }

  async resume(id: string, part: Part = 'both'): Promise<void> {
    for (const [name, child] of this.children(id, part)) {
      child.signal('SIGCONT');
      this.node(id).paused.delete(name);
    }
  }

  async revive(id: string): Promise<void> {
    await this.start(this.node(id).plan);
  }

  /** Who asks while an answer is being made gets that one: an `apply` asks for every node at once. */
  status(): Promise<NodeStatus[]> {
    this.asking ??= this.look().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  private look(): Promise<NodeStatus[]> {
    return Promise.all(
      [...this.nodes.values()].map(async ({ plan, app, envoy, paused }) => ({
        id: plan.node.id,
        kind: plan.node.kind,
        listeners: plan.node.listeners,
        app: partStatus(app, paused.has('app')),
        sidecar: partStatus(envoy?.child, paused.has('sidecar')),
        ready: (await envoy?.admin.ready().catch(() => false)) ?? false,
      })),
    );
  }

  async journal(id: string): Promise<JournalLine[]> {
    const path = this.options.state.journal(id);
    if (!existsSync(path)) return [];
    const text = await readFile(path, 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as JournalLine]));
  }

  async down(): Promise<void> {
    this.ending = true;
    // Gateways first, so that nobody's request finds half a mesh.
    const ids = [...this.nodes.keys()].sort((a, b) => this.rank(a) - this.rank(b));
    const gateways = ids.filter((id) => this.rank(id) === 0);
    await Promise.all(gateways.map((id) => this.stop(id)));
    await Promise.all(ids.filter((id) => !gateways.includes(id)).map((id) => this.stop(id)));
    await this.centre?.stop();
    this.centre = undefined;
    this.options.state.forget('centre');
    await this.guard?.release();
    this.guard = undefined;
    await this.options.state.tidy();
  }

  /** The Envoy of a node that runs, for its admin interface. */
  envoyOf(id: string): Envoy {
    const { envoy } = this.node(id);
    if (!envoy) throw new Error(`${id}: its Envoy was never started`);
    return envoy;
  }

  /** Waits until no Envoy that runs holds a host that fails, or has not yet had, its health check. */
  async settled(deadlineMs = this.options.readyTimeoutMs ?? 30_000): Promise<void> {
    const isolated = isolatedAddresses(Array.from(this.nodes.values(), ({ plan }) => plan));
    for (const { plan, envoy } of this.nodes.values()) {
      if (!envoy || envoy.child.exit()) continue;
      await this.wait(`${plan.node.id}: hosts healthy`, deadlineMs, async () => {
        const sick = (await envoy.admin.hosts()).filter(
          (host) => host.unhealthy.length > 0 && !isolated.has(host.address),
        );
        const first = sick[0];
        if (!first) return found(undefined);
        return notYet(`${first.cluster} ${first.address}:${first.port}: ${first.unhealthy.join(', ')}`);
      });
    }
  }

  private rank(id: string): number {
    return this.node(id).plan.node.kind === 'gateway' ? 0 : 1;
  }

  private known(plan: NodePlan): Running {
    if (this.ending) throw new GiveUp(`${plan.node.id}: not started, the mesh is ending`);
    const node = this.nodes.get(plan.node.id) ?? { plan, paused: new Set() };
    node.plan = plan;
    this.nodes.set(plan.node.id, node);
    return node;
  }

  private node(id: string): Running {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`no node ${id} (there are: ${[...this.nodes.keys()].join(', ')})`);
    return node;
  }

  private children(id: string, part: Part): (readonly ['app' | 'sidecar', Child])[] {
    const { app, envoy } = this.node(id);
    const all: (readonly ['app' | 'sidecar', Child | undefined])[] = [
      ['app', app],
      ['sidecar', envoy?.child],
    ];
    return all.flatMap(([name, child]) =>
      child && (part === 'both' || part === name) ? [[name, child] as const] : [],
    );
  }

  private async startApp(node: Running): Promise<void> {
    const { app } = node.plan;
    if (!app || (node.app && !node.app.exit())) return;
    const { id, address, ports } = app.instance;
    const service = bookinfoService(app);
    const [command = process.execPath, ...args] =
      service === null ? app.service.command : [process.execPath, this.options.bookinfo, service];
    const { state } = this.options;
    const child = await startChild({
      name: id,
      command,
      args,
      env: { ...appEnvironment(app, state.journal(id)), EXIT_WITH_STDIN: '1' },
      logPath: state.log(id, 'app'),
    });
    node.app = child;
    await this.keepUnlessEnding(id, child);
    await state.remember(`${id}.app`, child.pid, service === null ? command : this.options.bookinfo);
    await this.wait(`${id}: application on ${address}:${ports.app}`, undefined, async () => {
      const exit = child.exit();
      if (exit) throw new GiveUp(`${id}: ended (${exit.signal ?? `exit code ${exit.code}`})\n${child.tail()}`);
      return (await accepts(address, ports.app)) ? found(undefined) : notYet(`nothing listens\n${child.tail()}`);
    });
  }

  private async startEnvoyOf(node: Running): Promise<void> {
    if (node.envoy && !node.envoy.child.exit()) return;
    const { node: rendered } = node.plan;
    const { state } = this.options;
    await writeNodeFiles(rendered);
    const config = join(rendered.dir, rendered.bootstrap);
    node.envoy = await spawnEnvoy({
      name: rendered.id,
      binary: this.options.envoy,
      config,
      adminSocket: rendered.adminSocket,
      logPath: state.log(rendered.id, 'envoy'),
      concurrency: rendered.concurrency,
      logLevel: this.options.logLevel ?? 'warning',
      args: ['--file-flush-interval-msec', String(LOG_FLUSH_MS), ...rendered.args],
    });
    await this.keepUnlessEnding(rendered.id, node.envoy.child);
    await state.remember(`${rendered.id}.envoy`, node.envoy.child.pid, config);
    await envoyReady(node.envoy, this.options.readyTimeoutMs ?? 30_000, this.options.clock);
    await refusedNothing(node.envoy);
  }

  /** Agents that ask before it listens ask again. */
  private async startCentre(progress: Progress): Promise<void> {
    const { centre, state } = this.options;
    if (centre === undefined) return;
    const [command = '', ...args] = centre;
    const child = await startChild({ name: 'centre', command, args, logPath: join(state.root, 'logs', 'centre.log') });
    this.centre = child;
    await this.keepUnlessEnding('centre', child);
    await state.remember('centre', child.pid, state.centre);
    await this.wait('healing centre', undefined, async () => {
      const exit = child.exit();
      if (exit) throw new GiveUp(`centre: ended (${exit.signal ?? `exit code ${exit.code}`})\n${child.tail()}`);
      return child.tail().includes('the healing centre of') ? found(undefined) : notYet(child.tail());
    });
    progress('the healing centre listens');
  }

  /** What was being spawned when `down` looked at the nodes is ended by who spawned it. */
  private async keepUnlessEnding(id: string, child: Child): Promise<void> {
    if (!this.ending) return;
    await child.stop();
    throw new GiveUp(`${id}: ended, the mesh is ending`);
  }

  private wait<T>(what: string, deadlineMs: number | undefined, look: Parameters<typeof waitUntil<T>>[1]): Promise<T> {
    const { clock, readyTimeoutMs = 30_000 } = this.options;
    const lookOn: typeof look = () => {
      if (this.ending) throw new GiveUp(`${what}: the mesh is ending`);
      return look();
    };
    return waitUntil(what, lookOn, { deadlineMs: deadlineMs ?? readyTimeoutMs, ...(clock ? { clock } : {}) });
  }
}

/**
 * Runs the work for all items, a few per processor at once: more would only make each wait longer. After a failure no
 * further item is begun, and the error is thrown only when nothing is under way any more, so that a clean-up sees all.
 */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const errors: unknown[] = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined && errors.length === 0; item = queue.shift()) {
      await work(item).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.max(4, cpus().length * 2) }, worker));
  if (errors.length > 0) throw errors[0];
}

function partStatus(child: Child | undefined, paused: boolean): PartStatus {
  if (!child) return { state: 'absent' };
  const exit = child.exit();
  if (exit) return { state: 'ended', pid: child.pid, ended: exit.signal ?? `exit code ${exit.code}` };
  return { state: paused ? 'paused' : 'running', pid: child.pid };
}

/** True when something accepts a TCP connection there. */
export function accepts(host: string, port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
