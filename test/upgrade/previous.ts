import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

/**
 * The build before this one, for real: an earlier commit's sources with that commit's own packages. Builds are kept in
 * `build/previous/<commit>/`.
 */

const ROOT = join(import.meta.dirname, '../..');

/** What stands for a release as long as there is none: a commit before isolation and the healing centre. */
const BEFORE_ANY_RELEASE = 'c28995da4693565c173eae0c8a92b17a22094128';
/** What a user of a release has, which is what an upgrade is made of. */
const ARTEFACTS = ['causeway.wasm', 'causeway.mjs', 'bookinfo.mjs'];
const STEP_TIMEOUT_MS = 10 * 60_000;

/** A module and who renders its configurations. */
export interface Build {
  /** For people. */
  readonly name: string;
  readonly wasmPath: string;
  /** Its own command line program; null = this tree's. */
  readonly cli: string | null;
}

/**
 * `wanted`: a path of a `.wasm` (a `causeway.mjs` beside it renders the configurations), or a commit or tag to build. Default: the
 * last tag `v…` before this commit; without one a commit of this project's own history. Fails, saying what to give it
 * instead, where there is no such history, as in an archive or a shallow clone.
 */
export async function previousBuild(
  wanted: string | undefined,
  progress: (line: string) => void = () => {},
): Promise<Build> {
  if (wanted?.endsWith('.wasm')) return handedIn(resolve(wanted));
  const commit = await commitOf(wanted);
  const folder = join(ROOT, 'build/previous', commit);
  if (!existsSync(folder)) await buildCommit(commit, folder, progress);
  const name = (await git('describe', '--tags', '--always', commit)).trim();
  return { name, wasmPath: join(folder, 'causeway.wasm'), cli: join(folder, 'causeway.mjs') };
}

function handedIn(wasmPath: string): Build {
  if (!existsSync(wasmPath)) throw new Error(`PREVIOUS: found ${wasmPath}, which is not there`);
  const cli = join(dirname(wasmPath), 'causeway.mjs');
  return { name: basename(wasmPath), wasmPath, cli: existsSync(cli) ? cli : null };
}

async function commitOf(wanted: string | undefined): Promise<string> {
  const name = wanted ?? (await lastRelease()) ?? BEFORE_ANY_RELEASE;
  try {
    return (await git('rev-parse', '--verify', '--quiet', `${name}^{commit}`)).trim();
  } catch {
    throw new Error(
      `previous build: commit ${name} is not in this clone; fetch the whole history (git fetch --unshallow --tags), ` +
        'or hand the module in: make drill-upgrade PREVIOUS=path/to/causeway.wasm',
    );
  }
}

/** The tag before this commit: one on it is this release itself. */
async function lastRelease(): Promise<string | undefined> {
  try {
    return (await git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*', 'HEAD^')).trim();
  } catch {
    return undefined;
  }
}

/** In a folder of its own, with the packages of its own lock file: nothing of this tree may get into it. */
async function buildCommit(commit: string, folder: string, progress: (line: string) => void): Promise<void> {
  const source = `${folder}.source`;
  rmSync(source, { recursive: true, force: true });
  mkdirSync(source, { recursive: true });
  try {
    progress(`builds ${commit.slice(0, 12)}, once`);
    await command('git', ['archive', '--output', join(source, 'source.tar'), commit], ROOT);
    await command('tar', ['-xf', 'source.tar'], source);
    await command('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline'], source);
    await command(process.execPath, ['--import', 'tsx', 'tools/build.ts'], source);
    const whole = join(source, 'artefacts');
    mkdirSync(whole);
    for (const name of ARTEFACTS) cpSync(join(source, 'build', name), join(whole, name));
    renameSync(whole, folder);
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

const git = async (...args: readonly string[]) => (await promisify(execFile)('git', args, { cwd: ROOT })).stdout;

async function command(program: string, args: readonly string[], cwd: string): Promise<void> {
  try {
    await promisify(execFile)(program, args, { cwd, timeout: STEP_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    throw new Error(`previous build: ${program} ${args.join(' ')}: ${stderr.trim().slice(-2_000) || message}`);
  }
}
