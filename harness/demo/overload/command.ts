import { dirname, join } from 'node:path';
import { Deployment } from '../../apply/deployment.ts';
import { dropRecord } from '../../apply/record.ts';
import { findAssets } from '../../cli/assets.ts';
import { createDriver, envoyFor } from '../../cli/drivers.ts';
import { EXIT } from '../../cli/exit-codes.ts';
import { interruptible } from '../../cli/interrupt.ts';
import type { Output } from '../../cli/output.ts';
import { supervise } from '../../drivers/supervisor.ts';
import type { LoadSecond } from '../../overload/load.ts';
import { runLoad } from '../../overload/processes.ts';
import { type DemoRunOptions, demoState, leave } from '../run.ts';
import { claims, loadPlan, phaseFigures } from './course.ts';
import { overloadMesh, SERVICES } from './mesh.ts';
import { head, secondLine, verdict } from './picture.ts';

const MESH = 'overload';

/** `causeway demo overload`: the same crowd before the same application, with and without protection. */
export async function demoOverload(options: DemoRunOptions, output: Output): Promise<void> {
  const assets = findAssets(options.wasm);
  const script = join(dirname(assets.bookinfo), 'overload.mjs');
  const state = await demoState(options, MESH);
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
  const holds = judged.every((claim) => claim.holds);
  const file = await leave(options, 'demo-overload.json', { holds, claims: judged, phases: figures, seconds });
  output.result(`${verdict(seconds, figures, judged)}\n\n   ${file}`, { holds, claims: judged, file });
  if (!holds) process.exitCode = EXIT.failed;
}
