import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DeploymentOptions } from '../apply/deployment.ts';
import type { DriverName } from '../apply/record.ts';
import { findAssets, ownCommand } from '../cli/assets.ts';
import { containerPrefix, createDriver, envoyFor } from '../cli/drivers.ts';
import { EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import { resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { gatewayAddress } from '../drivers/compose-file.ts';
import { openStage } from './open.ts';
import { demoPage } from './page.ts';
import { type DemoRunOptions, demoState, leave, meshFile } from './run.ts';
import type { SceneResult } from './scene.ts';
import { playScene, STORY } from './story.ts';
import { sceneHead, sceneTail, summary, watched } from './telling.ts';

export interface DemoOptions extends DemoRunOptions {
  readonly driver: DriverName;
  /** Divides the number of requests of the heavy scenes. Default 20; 1 = full size. */
  readonly scale?: number;
  /** Numbers of scenes to play, comma separated. Default: all. Scene 0 is always played, it makes lane dev2. */
  readonly scenes?: string;
}

/** Name of the demo's mesh; its state is kept under it. */
const MESH = 'bookinfo';

/** `causeway demo`: the lane story with real requests through real Envoys. Fails when a scene does not hold. */
export async function demo(options: DemoOptions, output: Output): Promise<void> {
  const started = performance.now();
  const assets = findAssets(options.wasm);
  const state = await demoState(options, MESH);
  const wanted = options.scenes?.split(',').map(Number);
  const scenes = STORY.filter(({ number }) => number === 0 || (wanted?.includes(number) ?? true));
  const prefix = containerPrefix(options.driver, options.network);
  const envoy = await envoyFor(options.driver, output.progress);
  const driver = createDriver({ driver: options.driver, mesh: MESH, envoy, prefix: prefix ?? '', ...assets }, state);
  const deployment: DeploymentOptions = {
    state,
    driver,
    driverName: options.driver,
    wasmPath: assets.wasmPath,
    resolve: resolveOptions(options, prefix),
  };
  const results = await interruptible(async (signal) => {
    const { stage, close } = await openStage({
      deployment,
      text: readFileSync(meshFile(), 'utf8'),
      file: join(dirname(state.root), `${MESH}.yaml`),
      cli: ownCommand(),
      scale: options.scale ?? 20,
      progress: output.progress,
      ...(prefix === undefined ? {} : { url: `http://${gatewayAddress(prefix, 0)}:8080` }),
    });
    try {
      output.note(`\nThe mesh runs: ${stage.deployment.plans.length} Envoys. Its page: ${stage.url}/productpage`);
      const played: SceneResult[] = [];
      for (const scene of scenes) {
        signal.throwIfAborted();
        if (scene.only !== undefined && scene.only !== options.driver) continue;
        output.note(sceneHead(scene));
        const result = await playScene(scene, stage, (line) => output.note(watched(line)));
        output.note(sceneTail(result));
        played.push(result);
      }
      return played;
    } finally {
      output.progress('ending the mesh');
      await close();
    }
  });
  const page = join(dirname(await leave(options, 'demo.json', results)), 'demo.html');
  await writeFile(page, demoPage(results));
  const failed = results.filter(({ holds }) => !holds);
  output.result(summary(results, performance.now() - started, page), {
    scenes: results.map(({ number, title, holds }) => ({ number, title, holds })),
    page,
  });
  if (failed.length > 0) process.exitCode = EXIT.failed;
}
