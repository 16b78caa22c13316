import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readRecord } from '../apply/record.ts';
import { findAssets, ownCommand } from '../cli/assets.ts';
import { createDriver, envoyFor } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { StateFolder } from '../drivers/state.ts';
import { isSupervised } from '../drivers/supervisor.ts';
import { openStage } from './open.ts';
import type { Stage } from './stage.ts';

/** What all demos do alike: a mesh of their own that ends with them, and a file of what came of it. */

export interface DemoRunOptions extends GlobalOptions {
  /** Folder of what the demo leaves. Default `build`. */
  readonly out?: string;
}

/** Where a demo's mesh is kept. @throws CommandError while that mesh runs */
export async function demoState(options: GlobalOptions, mesh: string): Promise<StateFolder> {
  const state = new StateFolder(join(resolve(options.state), mesh));
  if (readRecord(state) && (await isSupervised(state))) {
    throw new CommandError(EXIT.state, `mesh ${mesh} runs already; \`causeway down --mesh ${mesh}\` ends it`);
  }
  return state;
}

/** Writes what came of it; answers where. */
export async function leave(options: DemoRunOptions, name: string, outcome: object): Promise<string> {
  const folder = resolve(options.out ?? 'build');
  await mkdir(folder, { recursive: true });
  const file = join(folder, name);
  await writeFile(file, `${JSON.stringify(outcome, null, 2)}\n`);
  return file;
}

/** The story's Bookinfo by processes, named `mesh` and with one more `line` in its file, for as long as `play` takes. */
export async function onBookinfo<T>(
  { mesh, line }: { readonly mesh: string; readonly line: string },
  options: GlobalOptions,
  output: Output,
  play: (stage: Stage, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const assets = findAssets(options.wasm);
  const state = await demoState(options, mesh);
  const envoy = await envoyFor('process', output.progress);
  const driver = createDriver({ driver: 'process', mesh, envoy, prefix: '', ...assets }, state);
  return interruptible(async (signal) => {
    const { stage, close } = await openStage({
      deployment: { state, driver, driverName: 'process', wasmPath: assets.wasmPath, resolve: resolveOptions(options) },
      text: readFileSync(meshFile(), 'utf8').replace(/^mesh: .*$/m, `mesh: ${mesh}\n${line}`),
      file: join(dirname(state.root), `${mesh}.yaml`),
      cli: ownCommand(),
      progress: output.progress,
    });
    try {
      return await play(stage, signal);
    } finally {
      output.progress('ending the mesh');
      await close();
    }
  });
}

/** The story's mesh: beside this source, or in the repository that the bundle was built in. */
export function meshFile(): string {
  const here = import.meta.dirname;
  const path = join(basename(here) === 'demo' ? here : join(dirname(here), 'harness/demo'), 'bookinfo.yaml');
  if (!existsSync(path)) throw new CommandError(EXIT.failed, `${path}: not there; the demo runs in its repository`);
  return path;
}
