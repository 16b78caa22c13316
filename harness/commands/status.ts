import { isIsolated } from '../../envoy-configs/isolation.ts';
import { readRecord } from '../apply/record.ts';
import { attachedDriver } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { table } from '../cli/table.ts';
import { isSupervised } from '../drivers/supervisor.ts';

/** `causeway status`: what runs, by node. Exit status 4 when nothing does, 1 when something is not as it should be. */
export async function status(options: GlobalOptions, output: Output): Promise<void> {
  const state = stateFolder(options);
  const record = readRecord(state);
  if (!record || !(await isSupervised(state))) throw new CommandError(EXIT.state, 'no such mesh runs');
  const nodes = await attachedDriver(state).status();
  const instances = new Map(
    record.mesh.services.flatMap((service) => service.instances.map((instance) => [instance.id, instance] as const)),
  );
  const rows = nodes.map((node) => {
    const instance = instances.get(node.id);
    return {
      id: node.id,
      lane: instance?.lane ?? '',
      version: instance?.version ?? '',
      address: node.listeners[0] ?? '',
      application: node.kind === 'gateway' ? '' : node.app.state,
      sidecar: node.sidecar.state,
      ready: node.ready,
      traffic: isIsolated(record.mesh, node.id) ? 'ISOLATED' : '',
    };
  });
  const sick = rows.filter(({ ready, application }) => !ready || (application !== '' && application !== 'running'));
  const text = [
    table(rows.map((row) => ({ ...row, ready: row.ready ? 'yes' : 'NO' }))),
    ...record.mesh.lanes.map(
      ({ name, mode, chain }) => `lane ${name}: ${mode}, then ${chain.join(' → ') || 'nothing'}`,
    ),
    ...record.mesh.rules.map(
      ({ name, lane, at, entrance }) => `rule ${name}: → ${lane} at the ${at}, entering ${entrance}`,
    ),
  ].join('\n');
  output.result(text, {
    mesh: record.mesh.name,
    driver: record.driver,
    healthy: sick.length === 0,
    nodes: rows,
    lanes: record.mesh.lanes,
    rules: record.mesh.rules,
  });
  if (sick.length > 0) process.exitCode = EXIT.failed;
}
