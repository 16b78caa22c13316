import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { type Clock, found, notYet, waitUntil } from '../process/wait.ts';
import { appName, composeFile, dockerfile, sidecarName } from './compose-file.ts';
import { OBSERVABILITY_PROFILE, observabilityFiles } from './compose-observability.ts';
import {
  type Driver,
  isolatedAddresses,
  type JournalLine,
  type NodePlan,
  type NodeStatus,
  type Part,
  type PartStatus,
  type Progress,
} from './driver.ts';
import { ensureInotify } from './limits.ts';
import { type StateFolder, writeNodeFiles } from './state.ts';

const run = promisify(execFile);

/** No single docker command may take longer, in milliseconds; the first build may pull images. */
const COMMAND_TIMEOUT_MS = 300_000;

export interface ComposeDriverOptions {
  state: StateFolder;
  wasmPath: string;
  /** `build/bookinfo.mjs`. */
  bookinfo: string;
  /** Names containers and network. Lower case letters, digits, `-` and `_`. */
  project: string;
  /** First two octets of the mesh's addresses. */
  prefix: string;
  logLevel?: string;
  /** Milliseconds for the mesh to become ready. Default 60,000. */
  readyTimeoutMs?: number;
  env?: Readonly<Record<string, string>>;
  clock?: Clock;
}

/** Containers by docker-compose or Compose v2: each instance an Envoy and an application in one network namespace. */
export class ComposeDriver implements Driver {
  private readonly options: ComposeDriverOptions;
  private readonly plans = new Map<string, NodePlan>();
  private command: Promise<readonly string[]> | undefined;
  /** The last compose command: two at once on one project get in each other's way. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(options: ComposeDriverOptions) {
    this.options = options;
  }

  async up(plans: readonly NodePlan[], progress: Progress = () => {}): Promise<void> {
    const { state, bookinfo } = this.options;
    ensureInotify(plans, progress);
    await state.create();
    for (const plan of plans) this.plans.set(plan.node.id, plan);
    await copyFile(bookinfo, join(state.root, 'bookinfo.mjs'));
    await writeFile(join(state.root, 'Dockerfile'), dockerfile());
    // The whole state folder would be the build's context otherwise, sockets included.
    await writeFile(join(state.root, '.dockerignore'), '*\n!bookinfo.mjs\n');
    for (const plan of plans) await this.prepare(plan);
    await this.writeFile();
    try {
      const built = plans.find((plan) => plan.app?.service.image === '');
      if (built) {
        progress("building the services' image");
        await this.compose('build', appName(built.node.id));
      }
      progress(`starting ${plans.length} Envoys and ${plans.filter((plan) => plan.app).length} applications`);
      await this.compose('up', '-d', '--no-build');
      await this.settled(progress);
    } catch (error) {
      const logs = await this.compose('logs', '--tail=5').catch(() => '');
      await this.down();
      throw new Error(`${(error as Error).message}\n${logs}`);
    }
  }

  async start(plan: NodePlan): Promise<void> {
    this.plans.set(plan.node.id, plan);
    const names = this.names(plan.node.id, 'both');
    const states = await this.containerStates();
    // Asked of a node that runs, this does nothing: its files and its admin socket are in use.
    if (names.every((name) => ['running', 'paused'].includes(states.get(name)?.state ?? ''))) return;
    await this.prepare(plan);
    await this.writeFile();
    await this.compose('up', '-d', '--no-build', '--no-recreate', ...names);
    await this.ready(plan);
  }

  async stop(id: string): Promise<void> {
    await this.compose('rm', '--stop', '--force', ...this.names(id, 'both'));
    this.plans.delete(id);
    await this.writeFile();
  }

  async kill(id: string, part: Part = 'both'): Promise<void> {
    await this.compose('kill', '-s', 'SIGKILL', ...this.names(id, part));
  }

  async pause(id: string, part: Part = 'both'): Promise<void> {
    await this.compose('pause', ...this.names(id, part));
  }

  async resume(id: string, part: Part = 'both'): Promise<void> {
    await this.compose('unpause', ...this.names(id, part));
  }

  async revive(id: string): Promise<void> {
    // An application whose Envoy was started anew must join the new network namespace: both are made again.
    await this.compose('rm', '--stop', '--force', ...this.names(id, 'both'));
    await this.start(this.plan(id));
  }

  async status(): Promise<NodeStatus[]> {
    const states = await this.containerStates();
    return Promise.all(
      [...this.plans.values()].map(async ({ node, app }) => ({
        id: node.id,
        kind: node.kind,
        listeners: node.listeners,
        app: app ? (states.get(appName(node.id)) ?? { state: 'ended' }) : { state: 'absent' },
        sidecar: states.get(sidecarName(node.id)) ?? { state: 'ended' },
        ready: await new EnvoyAdmin(node.adminSocket).ready().catch(() => false),
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
    if (existsSync(this.file))
      await this.compose('--profile', OBSERVABILITY_PROFILE, 'down', '--timeout', '3', '--volumes', '--remove-orphans');
    for (const { node } of this.plans.values()) await rm(node.adminSocket, { force: true });
    await this.options.state.tidy();
  }

  private get file(): string {
    return join(this.options.state.root, 'compose.yaml');
  }

  private plan(id: string): NodePlan {
    const plan = this.plans.get(id);
    if (!plan) throw new Error(`no node ${id} (there are: ${[...this.plans.keys()].join(', ')})`);
    return plan;
  }

  private names(id: string, part: Part): string[] {
    const { app } = this.plan(id);
    // The application first: it ends before the namespace that it lives in.
    const all = [...(app && part !== 'sidecar' ? [appName(id)] : []), ...(part !== 'app' ? [sidecarName(id)] : [])];
    if (all.length === 0) throw new Error(`${id}: has no ${part}`);
    return all;
  }

  private async prepare({ node }: NodePlan): Promise<void> {
    await writeNodeFiles(node);
    await mkdir(this.options.state.run, { recursive: true, mode: 0o700 });
    await rm(node.adminSocket, { force: true });
  }

  private async writeFile(): Promise<void> {
    const { state, wasmPath, prefix, logLevel } = this.options;
    const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
    const options = { state, wasmPath, prefix, user, ...(logLevel ? { logLevel } : {}) };
    const plans = [...this.plans.values()];
    for (const [path, text] of Object.entries(observabilityFiles(plans, state))) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    await writeFile(this.file, composeFile(plans, options));
  }

  private async settled(progress: Progress): Promise<void> {
    for (const plan of this.plans.values()) await this.ready(plan);
    progress('every Envoy is ready and sees every host healthy');
  }

  private ready({ node }: NodePlan): Promise<void> {
    const admin = new EnvoyAdmin(node.adminSocket);
    const { clock, readyTimeoutMs = 60_000 } = this.options;
    const options = { deadlineMs: readyTimeoutMs, intervalMs: 100, ...(clock ? { clock } : {}) };
    const isolated = isolatedAddresses(this.plans.values());
    return waitUntil(
      `${node.id}: ready`,
      async () => {
        if (!(await admin.ready())) return notYet('/ready says not yet');
        const sick = (await admin.hosts()).find(
          ({ unhealthy, address }) => unhealthy.length > 0 && !isolated.has(address),
        );
        return sick ? notYet(`${sick.cluster} ${sick.address}: ${sick.unhealthy.join(', ')}`) : found(undefined);
      },
      options,
    );
  }

  /** By compose service name. Asked of docker itself: the two composes print their own lists differently. */
  private async containerStates(): Promise<Map<string, PartStatus>> {
    const filter = `label=com.docker.compose.project=${this.options.project}`;
    const format = '{{.Label "com.docker.compose.service"}} {{.State}} {{.Status}}';
    const { stdout } = await run('docker', ['ps', '--all', '--filter', filter, '--format', format]);
    const states = new Map<string, PartStatus>();
    for (const line of stdout.split('\n')) {
      const [name = '', state = '', ...rest] = line.split(' ');
      if (state === 'running' || state === 'paused') states.set(name, { state });
      else if (name !== '') states.set(name, { state: 'ended', ended: rest.join(' ') });
    }
    return states;
  }

  private compose(...args: string[]): Promise<string> {
    const next = this.last.then(() => this.runCompose(args));
    this.last = next.catch(() => undefined);
    return next;
  }

  private async runCompose(args: readonly string[]): Promise<string> {
    this.command ??= composeCommand();
    const [program = '', ...first] = await this.command;
    const all = [...first, '--project-name', this.options.project, '--file', this.file, ...args];
    const env = { ...process.env, ...this.options.env };
    try {
      const { stdout } = await run(program, all, { env, timeout: COMMAND_TIMEOUT_MS, maxBuffer: 32 << 20 });
      return stdout;
    } catch (error) {
      const { stderr, message } = error as { stderr?: string; message: string };
      throw new Error(`compose ${args.join(' ')}: ${stderr?.trim().split('\n').slice(-8).join('\n') || message}`);
    }
  }
}

/** `docker compose` where the plugin is installed, else `docker-compose`. */
export async function composeCommand(): Promise<readonly string[]> {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const [program = '', ...args] = command;
    if (
      await run(program, [...args, 'version'], { timeout: 20_000 }).then(
        () => true,
        () => false,
      )
    )
      return command;
  }
  throw new Error('neither `docker compose` nor `docker-compose` runs here; install one, or use the process driver');
}

/** Null when a docker engine answers, else why not. */
export async function engineMissing(): Promise<string | null> {
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 20_000 });
    return null;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    return (stderr?.trim() || message).split('\n')[0] ?? 'no docker engine';
  }
}
