import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Deployment } from '../../apply/deployment.ts';
import { dropRecord, readRecord } from '../../apply/record.ts';
import { findAssets } from '../../cli/assets.ts';
import { createDriver, envoyFor } from '../../cli/drivers.ts';
import { CommandError, EXIT } from '../../cli/exit-codes.ts';
import { interruptible } from '../../cli/interrupt.ts';
import type { GlobalOptions } from '../../cli/options.ts';
import type { Output } from '../../cli/output.ts';
import { StateFolder } from '../../drivers/state.ts';
import { isSupervised, supervise } from '../../drivers/supervisor.ts';
import type { LoadSecond } from '../../overload/load.ts';
import { runLoad } from '../../overload/processes.ts';
import { claims, loadPlan, phaseFigures } from './course.ts';
import { overloadMesh, SERVICES } from './mesh.ts';
import { head, secondLine, verdict } from './picture.ts';

export interface OverloadDemoOptions extends GlobalOptions {
  /** Folder of demo-overload.json. Default `build`. */
  readonly out?: string;
}

const MESH = 'overload';

/** `causeway demo overload`: the same crowd before the same application, with and without protection. */
export async function demoOverload(options: OverloadDemoOptions, output: Output): Promise<void> {
  const assets = findAssets(options.wasm);
  const script = join(dirname(assets.bookinfo), 'overload.mjs');
  const state = new StateFolder(join(resolve(options.state), MESH));
  if (readRecord(state) && (await isSupervised(state))) {
    throw new CommandError(EXIT.state, `mesh ${MESH} runs already; \`causeway down --mesh ${MESH}\` ends it`);
  }
  const envoy = await envoyFor('process', output.progress);
  const driver = createDriver({ driver: 'process', mesh: MESH, envoy, prefix: '', ...assets }, state);
  const seconds: LoadSecond[] = [];
  const watch = (second: LoadSecond): void => {
    seconds.push(second);
    output.note(secondLine(second));
  };
  const requests = await interruptible(async (signal) => {
    const ending = new AbortController();
    const over = supervise(driver, state, ending.signal);
    try {
      const deployment = { state, driver, driverName: 'process' as const, wasmPath: assets.wasmPath };
      const { mesh } = await Deployment.start(deployment, overloadMesh(script, options.network), output.progress);
      signal.throwIfAborted();
      output.note('\nThe same requests for two services that are the same but for `overload: {}` in causeway.yaml.');
      output.note(head());
      const instances = SERVICES.flatMap((name) => mesh.services.find((one) => one.name === name)?.instances[0] ?? []);
      const plan = loadPlan(
        instances.map(({ address }) => address),
        instances[0]?.ports.inbound ?? 0,
      );
      const { requests } = await runLoad(script, plan, join(state.root, 'load.record'), { watch, signal });
      return requests;
    } finally {
      output.progress('ending the mesh');
      ending.abort();
      await over;
      dropRecord(state);
      signal.throwIfAborted();
    }
  });
  const figures = phaseFigures(requests);
  const judged = claims(figures);
  const folder = resolve(options.out ?? 'build');
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'demo-overload.json');
  const holds = judged.every((claim) => claim.holds);
  await writeFile(file, `${JSON.stringify({ holds, claims: judged, phases: figures, seconds }, null, 2)}\n`);
  output.result(`${verdict(seconds, figures, judged)}\n\n   ${file}`, { holds, claims: judged, file });
  if (!holds) process.exitCode = EXIT.failed;
}
