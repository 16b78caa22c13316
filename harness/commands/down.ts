import { dropRecord, readRecord } from '../apply/record.ts';
import { attachedDriver } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { isSupervised } from '../drivers/supervisor.ts';

/** `causeway down`: ends the mesh and whatever an unlucky earlier run has left. Logs stay. */
export async function down(options: GlobalOptions, output: Output): Promise<void> {
  const state = stateFolder(options);
  const record = readRecord(state);
  const supervised = await isSupervised(state);
  if (supervised) {
    output.progress('ending gateways, then sidecars and applications');
    await attachedDriver(state).down();
  }
  const swept = await state.sweep();
  if (!record && !supervised && swept === 0) throw new CommandError(EXIT.state, 'no such mesh runs');
  if (record?.driver === 'compose' && !supervised) {
    throw new CommandError(
      EXIT.failed,
      `the supervisor of the containers is gone; end them with: docker compose -f ${state.root}/compose.yaml down`,
    );
  }
  dropRecord(state);
  output.result('ended', { swept });
}
