import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readRecord } from '../../apply/record.ts';
import { findAssets, ownCommand } from '../../cli/assets.ts';
import { createDriver, envoyFor } from '../../cli/drivers.ts';
import { CommandError, EXIT } from '../../cli/exit-codes.ts';
import { interruptible } from '../../cli/interrupt.ts';
import { type GlobalOptions, resolveOptions } from '../../cli/options.ts';
import type { Output } from '../../cli/output.ts';
import { StateFolder } from '../../drivers/state.ts';
import { isSupervised } from '../../drivers/supervisor.ts';
import { meshFile } from '../command.ts';
import { openStage } from '../open.ts';
import { playIsolation } from './play.ts';

export interface IsolationDemoOptions extends GlobalOptions {
  /** Folder of demo-isolate.json. Default `build`. */
  readonly out?: string;
}

const MESH = 'bookinfo-isolate';

/** `causeway demo isolate`: one instance leaves its traffic and comes back under load, by the commands of a person. */
export async function demoIsolation(options: IsolationDemoOptions, output: Output): Promise<void> {
  const assets = findAssets(options.wasm);
  const state = new StateFolder(join(resolve(options.state), MESH));
  if (readRecord(state) && (await isSupervised(state))) {
    throw new CommandError(EXIT.state, `mesh ${MESH} runs already; \`causeway down --mesh ${MESH}\` ends it`);
  }
  const envoy = await envoyFor('process', output.progress);
  const driver = createDriver({ driver: 'process', mesh: MESH, envoy, prefix: '', ...assets }, state);
  const text = readFileSync(meshFile(), 'utf8').replace(/^mesh: .*$/m, `mesh: ${MESH}\nisolation: { drainSeconds: 5 }`);
  const story = await interruptible(async (signal) => {
    const { stage, close } = await openStage({
      deployment: { state, driver, driverName: 'process', wasmPath: assets.wasmPath, resolve: resolveOptions(options) },
      text,
      file: join(dirname(state.root), `${MESH}.yaml`),
      cli: ownCommand(),
      progress: output.progress,
    });
    try {
      return await playIsolation(stage, signal, output.note.bind(output));
    } finally {
      output.progress('ending the mesh');
      await close();
    }
  });
  const holds = story.steps.every((step) => step.holds) && story.failed === 0 && story.twice.length === 0;
  const folder = resolve(options.out ?? 'build');
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'demo-isolate.json');
  await writeFile(file, `${JSON.stringify({ holds, ...story }, null, 2)}\n`);
  const verdict = `${story.sent} requests, ${story.posts} of them POSTs: ${story.failed} failed, ${story.twice.length} ran twice; ${holds ? 'every step holds' : 'not every step holds'}`;
  output.result(`\n   ${verdict}\n   ${file}`, { holds, ...story, file });
  if (!holds) process.exitCode = EXIT.failed;
}
