import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { versionOf } from '../../envoy-configs/xds.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, GiveUp, notYet, waitUntil } from '../process/wait.ts';
import type { NodeUpdate } from './changes.ts';
import { type Observation, observe, statPrefix } from './versions.ts';

/** An Envoy refused what was pushed to it. */
export class Rejected extends Error {
  override name = 'Rejected';
  readonly node: string;
  /** The refused file's path below the node's directory. */
  readonly file: string;
  /** What Envoy (or the filter) said, at most a few lines. */
  readonly reason: string;

  constructor(node: string, file: string, reason: string) {
    super(`${node} refused ${file}: ${reason}`);
    this.node = node;
    this.file = file;
    this.reason = reason;
  }
}

export interface PushOptions {
  /** Envoy's own log, from which a refusal's reason is read. */
  readonly envoyLog: string;
  /** Milliseconds until Envoy must report all versions and have drained what it replaced. */
  readonly deadlineMs: number;
}

/**
 * Brings one running Envoy's files to their new content and waits until Envoy reports their versions and nothing warms.
 * Order within a node: what is referred to before what refers to it. Throws {@link Rejected} on refusal.
 */
export async function pushUpdate(update: NodeUpdate, options: PushOptions): Promise<void> {
  const { node } = update.plan;
  const admin = new EnvoyAdmin(node.adminSocket);
  const logStart = existsSync(options.envoyLog) ? statSync(options.envoyLog).size : 0;
  const before = await observe(admin);
  const paths = [...update.files].sort((a, b) => order(a) - order(b));
  for (const path of paths) await writeByRename(join(node.dir, path), node.files[path] ?? '');
  await accepted(node.id, admin, before, paths, node.files, logStart, options);
}

/** Puts the old content back, and waits until Envoy has read it; what was never refused it reports, too. */
export async function pullBack(update: NodeUpdate, options: PushOptions): Promise<void> {
  const { node } = update.plan;
  const admin = new EnvoyAdmin(node.adminSocket);
  const before = await observe(admin);
  const known = update.files.filter((path) => update.before.files[path] !== undefined);
  const paths = [...known].sort((a, b) => order(a) - order(b));
  for (const path of paths) await writeByRename(join(node.dir, path), update.before.files[path] ?? '');
  await accepted(node.id, admin, before, paths, update.before.files, 0, options);
  for (const path of update.files.filter((path) => !known.includes(path))) {
    await rm(join(node.dir, path), { force: true });
  }
}

/** Endpoints, clusters, plugin configurations and routes before the listeners that use them. */
function order(path: string): number {
  return ['eds', 'cds', 'ecds', 'rds', 'lds'].indexOf(path.slice(0, path.indexOf('/')));
}

export async function writeByRename(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  await writeFile(aside, text);
  await rename(aside, path);
}

async function accepted(
  id: string,
  admin: EnvoyAdmin,
  before: Observation,
  paths: readonly string[],
  files: Readonly<Record<string, string>>,
  logStart: number,
  options: PushOptions,
): Promise<void> {
  const waited = paths.flatMap((path) => {
    const prefix = statPrefix(path);
    return prefix === undefined ? [] : [{ path, prefix, version: versionOf(files[path] ?? '') }];
  });
  try {
    await waitUntil(
      `${id}: new configuration in use`,
      async () => {
        const now = await observe(admin);
        for (const { path, prefix, version } of waited) {
          const was = before.subscription(prefix);
          const is = now.subscription(prefix);
          if (is.rejected > was.rejected) throw new Refused(path);
          if (is.attempts === was.attempts) return notYet(`${path}: not read yet`);
          if (is.version !== version) return notYet(`${path}: version ${is.version}, waiting for ${version}`);
        }
        if (now.warming > 0) return notYet(`${now.warming} listeners and clusters warm up`);
        return now.draining > 0 ? notYet(`${now.draining} old listeners drain`) : found(undefined);
      },
      { deadlineMs: options.deadlineMs, intervalMs: 20 },
    );
  } catch (error) {
    if (error instanceof Refused) throw new Rejected(id, error.path, reasonIn(options.envoyLog, logStart));
    throw error;
  }
}

class Refused extends GiveUp {
  readonly path: string;

  constructor(path: string) {
    super(`${path} refused`);
    this.path = path;
  }
}

/** Envoy's complaints in its log since an offset: its own words without the prefix, the filter's first. */
function reasonIn(log: string, start: number): string {
  if (!existsSync(log)) return 'its log is not here; look at what it printed';
  const lines = readFileSync(log).subarray(start).toString('utf8').split('\n');
  const said = lines.filter((line) => /\]\[(warning|error|critical)\]/.test(line)).map(withoutPrefix);
  const own = said.filter((line) => line.includes('causeway: '));
  const chosen = own.length > 0 ? own : said.slice(-4);
  return [...new Set(chosen)].slice(0, 4).join('\n') || 'no reason in its log';
}

function withoutPrefix(line: string): string {
  return line.replace(/^(\[[^\]]*\])+\s*/, '').slice(0, 1_000);
}
