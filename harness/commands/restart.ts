import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import type { GlobalOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { openDeployment } from './apply.ts';

/** `causeway restart`: instances one after the other, without failing a request; services stand for all of theirs. */
export async function restart(names: readonly string[], options: GlobalOptions, output: Output): Promise<void> {
  const deployment = await openDeployment(options);
  const { services } = deployment.mesh;
  const ids = (names.length === 0 ? services.map(({ name }) => name) : names).flatMap((name) => {
    const service = services.find((candidate) => candidate.name === name);
    if (service) return service.instances.map(({ id }) => id);
    if (services.some(({ instances }) => instances.some(({ id }) => id === name))) return [name];
    throw new CommandError(EXIT.invalid, `found ${JSON.stringify(name)}, expected a service or an instance`);
  });
  const start = performance.now();
  await interruptible((signal) => deployment.restart([...new Set(ids)], output.progress, signal));
  const elapsedMs = Math.round(performance.now() - start);
  output.result(`restarted ${ids.length} instances in ${(elapsedMs / 1000).toFixed(1)} s`, {
    restarted: ids,
    elapsedMs,
  });
}
