import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PluginApi } from '../../envoy-configs/istio/options.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { meshFile } from '../../harness/demo/run.ts';
import { Stage } from '../../harness/demo/stage.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { built } from '../e2e/story-stage.ts';
import { bookinfoBundle } from '../e2e/support.ts';
import { IstioDeployment } from './deployment.ts';
import { Readiness } from './readiness.ts';

export interface IstioStory {
  readonly stage: Stage;
  readonly deployment: IstioDeployment;
  close(): Promise<void>;
}

/** The demo's mesh on Istio, on which the story's scenes play as on the local one. */
export async function openIstioStory(options: {
  network: string;
  scale: number;
  api?: PluginApi;
  edit?(text: string): string;
}): Promise<IstioStory> {
  const { network, scale, api = 'envoyfilter', edit = (text: string) => text } = options;
  const folder = await mkdtemp(join(tmpdir(), 'cw-'));
  const state = new StateFolder(join(folder, 'bookinfo'));
  const driver = new ProcessDriver({ state, envoy: (await resolveEnvoy()).path, bookinfo: await bookinfoBundle() });
  const file = join(folder, 'bookinfo.yaml');
  const text = edit(readFileSync(meshFile(), 'utf8'));
  await writeFile(file, text);
  const loaded = { file, text, config: parseConfig(text, file) };
  const wasmPath = built('causeway.wasm');
  const deployment = await IstioDeployment.start({ state, driver, wasmPath, network, api }, loaded);
  const readiness = new Readiness(deployment);
  const gateway = deployment.mesh.gateways[0];
  // `causeway lane …` edits the file; what `apply` does locally is here a rendering that Istio gets.
  const command = async (words: readonly string[]) => {
    const all = [
      built('causeway.mjs'),
      '--file',
      file,
      ...words,
      ...(words.includes('--no-apply') ? [] : ['--no-apply']),
    ];
    const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: 60_000 });
    if (!words.includes('--no-apply')) {
      const changed = readFileSync(file, 'utf8');
      await deployment.apply({ file, text: changed, config: parseConfig(changed, file) });
    }
    return { said: stdout, running: deployment };
  };
  const stage = new Stage(deployment, {
    driver,
    url: `http://${gateway?.address}:${gateway?.port}`,
    file,
    scale,
    judgeTimes: scale === 1,
    command,
  });
  return {
    stage,
    deployment,
    close: async () => {
      stage.close();
      await readiness.stop();
      await deployment.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
