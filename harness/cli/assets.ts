import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CommandError, EXIT } from './exit-codes.ts';

/** Files that the build leaves: beside the bundle when that runs, in `build/` when the sources do. */
export interface Assets {
  readonly wasmPath: string;
  readonly bookinfo: string;
}

/** This program: the words that start it again. */
export function ownCommand(): readonly string[] {
  return [process.execPath, ...process.execArgv, process.argv[1] ?? ''];
}

function buildFolder(): string {
  const here = import.meta.dirname;
  return basename(here) === 'cli' ? join(dirname(dirname(here)), 'build') : here;
}

/** `wasm` replaces the module's path. Fails with what to run when something has not been built. */
export function findAssets(wasm?: string): Assets {
  const folder = buildFolder();
  const wasmPath = wasm === undefined ? join(folder, 'causeway.wasm') : resolve(wasm);
  const assets = { wasmPath, bookinfo: join(folder, 'bookinfo.mjs') };
  for (const path of Object.values(assets)) {
    if (!existsSync(path)) throw new CommandError(EXIT.failed, `${path}: not there; run \`make build\``);
  }
  return assets;
}

/** The topology page, one file with everything in it. */
export function findPage(): string {
  const path = join(buildFolder(), 'topology.html');
  if (!existsSync(path)) throw new CommandError(EXIT.failed, `${path}: not there; run \`make build\``);
  return path;
}
