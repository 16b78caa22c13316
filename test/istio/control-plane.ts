import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { yamlOf } from '../../envoy-configs/istio/kube.ts';
import { ROOT } from '../e2e/support.ts';

/**
 * Istio's own configuration generation as a process: the helper in this folder, which is built once and kept in `build`.
 * It answers ADS for the resources of a folder, and is told when they change.
 */

const HELPER = join(ROOT, 'build/istio-rig');
const SOURCES = join(ROOT, 'test/istio');
/** The first build compiles all of Istio's control plane. */
const BUILD_TIMEOUT_MS = 25 * 60_000;
const ANSWER_TIMEOUT_MS = 20_000;

/** Path of the helper, built when a source is newer. */
export async function istioRig(): Promise<string> {
  const sources = readdirSync(SOURCES).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name));
  const newest = Math.max(...sources.map((name) => statSync(join(SOURCES, name)).mtimeMs));
  if (existsSync(HELPER) && statSync(HELPER).mtimeMs >= newest) return HELPER;
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const aside = `${HELPER}.${process.pid}`;
  const args = ['-n', '19', 'go', 'build', '-p', '1', '-o', aside, '.'];
  await promisify(execFile)('nice', args, { cwd: SOURCES, timeout: BUILD_TIMEOUT_MS, maxBuffer: 16 << 20 });
  renameSync(aside, HELPER);
  return HELPER;
}

/** What `istioctl` and the helper's other commands print; rejects with it when they fail. */
export async function runRig(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(await istioRig(), [...args], { timeout: 60_000, maxBuffer: 64 << 20 });
  return stdout;
}

/** Resources by file name without extension. */
export type ResourceFiles = Readonly<Record<string, readonly object[]>>;

export class ControlPlane {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private readonly folder: string;
  private stderr = '';
  /** The last change under way: the next one waits for it, since both write the same folder and read the same answers. */
  private last: Promise<void> = Promise.resolve();

  private constructor(child: ChildProcess, folder: string) {
    this.child = child;
    this.folder = folder;
    if (!child.stdout) throw new Error('the control plane has no standard output');
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-4_000);
    });
    child.stdin?.on('error', () => {});
  }

  /** Serves at `address` what `files` say; resolves when it answers. */
  static async start(address: string, folder: string, files: ResourceFiles): Promise<ControlPlane> {
    const rig = await istioRig();
    write(folder, files);
    const child = spawn(rig, ['serve', address, folder], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Stock Envoy has not Istio's metadata exchange filter.
      env: { ...process.env, PILOT_ENABLE_METADATA_EXCHANGE: 'false' },
    });
    const plane = new ControlPlane(child, folder);
    await plane.expect('serving');
    return plane;
  }

  /** Replaces all resources by what they are when their turn has come; resolves when Istio has taken them, and rejects when it refuses them. */
  apply(files: () => ResourceFiles): Promise<void> {
    const next = this.last
      .catch(() => undefined)
      .then(async () => {
        write(this.folder, files());
        this.child.stdin?.write('reload\n');
        await this.expect('loaded');
      });
    this.last = next;
    return next;
  }

  /** Ends it: its standard input's end is its signal. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const over = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const kill = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await over;
    clearTimeout(kill);
  }

  private async expect(word: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no "${word}" from Istio\n${this.stderr}`)), ANSWER_TIMEOUT_MS);
    });
    try {
      for (;;) {
        const { value, done } = await Promise.race([this.lines.next(), late]);
        if (done) throw new Error(`Istio's control plane ended\n${this.stderr}`);
        if (value.startsWith('refused ')) throw new Error(`Istio refuses the resources: ${value.slice(8)}`);
        if (value.startsWith(word)) return;
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

function write(folder: string, files: ResourceFiles): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, resources] of Object.entries(files)) {
    if (resources.length > 0) writeFileSync(join(folder, `${name}.yaml`), yamlOf(resources));
  }
}
