import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { RenderedNode, RenderTarget } from '../../envoy-configs/rendered.ts';
import { alive } from '../process/child.ts';

/** Linux gives a Unix socket's path 108 bytes with the closing NUL; names of nodes need some of them. */
const LONGEST_SOCKET_FOLDER = 60;

/** How long an access-log line may wait in Envoy, milliseconds; its own default of ten seconds is long for people. */
export const LOG_FLUSH_MS = 500;

/**
 * The folder that one running mesh keeps on this machine:
 * ```
 * nodes/<id>/…        rendered files of each Envoy     logs/<id>.{envoy,app,access}.log
 * run/<id>.sock       admin interface, mode 0700       logs/<id>.posts.jsonl
 * pids/<id>.<part>    pid and a word of its command    supervisor.{sock,log}
 * nodes/<id>/secrets   certificate and key, mode 0700    authority/ the key that signs them, mode 0700
 * centre/               whom the healing centre knows, its certificate, mode 0700
 * ```
 */
export class StateFolder {
  readonly root: string;
  /** Admin sockets; moved to the temporary folder when the path would be too long for a socket. */
  readonly run: string;

  constructor(root: string) {
    this.root = root;
    const inside = join(root, 'run');
    const key = createHash('sha256').update(root).digest('hex').slice(0, 12);
    this.run = Buffer.byteLength(inside) <= LONGEST_SOCKET_FOLDER ? inside : join(tmpdir(), `causeway-${key}`);
  }

  target(wasmPath: string): RenderTarget {
    return {
      wasmPath,
      nodeDir: (id) => join(this.root, 'nodes', id),
      adminSocket: (id) => join(this.run, `${id}.sock`),
      accessLog: (id) => join(this.root, 'logs', `${id}.access.log`),
    };
  }

  /** The mesh's certificate authority. */
  get authority(): string {
    return join(this.root, 'authority');
  }

  /** What the healing centre reads. */
  get centre(): string {
    return join(this.root, 'centre');
  }

  log(id: string, part: 'envoy' | 'app'): string {
    return join(this.root, 'logs', `${id}.${part}.log`);
  }

  journal(id: string): string {
    return join(this.root, 'logs', `${id}.posts.jsonl`);
  }

  get pids(): string {
    return join(this.root, 'pids');
  }

  get supervisorSocket(): string {
    return join(this.run, 'supervisor.sock');
  }

  async create(): Promise<void> {
    await mkdir(join(this.root, 'logs'), { recursive: true });
    await mkdir(this.pids, { recursive: true });
    await mkdir(this.run, { recursive: true, mode: 0o700 });
  }

  /** Removes the sockets' folder when nothing is in it any more: a supervisor may still listen there. */
  async tidy(): Promise<void> {
    await rmdir(this.run).catch(() => undefined);
  }

  /** Remembers a process so that a later run can end it; `mark` is a word of its command line that proves identity. */
  async remember(name: string, pid: number, mark: string): Promise<void> {
    await writeFile(join(this.pids, name), `${pid}\n${mark}\n`);
  }

  forget(name: string): void {
    rmSync(join(this.pids, name), { force: true });
  }

  /** Remembered processes that still run and still are what they were: a pid alone may have been given to another. */
  survivors(): { name: string; pid: number }[] {
    const folder = this.pids;
    if (!existsSync(folder)) return [];
    return readdirSync(folder).flatMap((name) => {
      const [pidText = '', mark = ''] = readFileSync(join(folder, name), 'utf8').split('\n');
      const pid = Number(pidText);
      return Number.isInteger(pid) && pid > 1 && pid !== process.pid && alive(pid) && commandLine(pid).includes(mark)
        ? [{ name, pid }]
        : [];
    });
  }

  /** Ends what an earlier run left behind, politely first. */
  async sweep(graceMs = 2_000): Promise<number> {
    const left = this.survivors();
    for (const { pid } of left) signal(pid, 'SIGCONT');
    for (const { pid } of left) signal(pid, 'SIGTERM');
    const end = performance.now() + graceMs;
    while (left.some(({ pid }) => alive(pid)) && performance.now() < end)
      await new Promise((next) => setTimeout(next, 50));
    for (const { name, pid } of left) {
      if (alive(pid)) signal(pid, 'SIGKILL');
      this.forget(name);
    }
    return left.length;
  }
}

/** Writes a node's files, each by rename, in the order given: Envoy watches for renames and never reads half a file. */
export async function writeNodeFiles(node: RenderedNode): Promise<void> {
  for (const [relative, content] of Object.entries(node.files)) {
    const path = join(node.dir, relative);
    await mkdir(dirname(path), { recursive: true });
    const aside = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
    await writeFile(aside, content);
    await rename(aside, path);
  }
  await mkdir(dirname(node.accessLog), { recursive: true });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}

/** `/proc` where there is one; elsewhere an empty mark is the best that can be done, so nothing matches. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
