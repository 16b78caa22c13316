import { describeChanges } from '../apply/changes.ts';
import { Deployment } from '../apply/deployment.ts';
import { unifiedDiff } from '../apply/diff.ts';
import { readRecord } from '../apply/record.ts';
import { NeedsSuite } from '../apply/uninstall-steps.ts';
import { findAssets } from '../cli/assets.ts';
import { attachedDriver, containerPrefix } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import { type GlobalOptions, resolveOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { isSupervised } from '../drivers/supervisor.ts';

export interface ApplyOptions extends GlobalOptions {
  /** Show what would happen and do nothing. */
  readonly dryRun?: boolean;
  /** Show the difference of every rendered file, too. */
  readonly full?: boolean;
  /** Take the suite out of the mesh instead. */
  readonly uninstall?: boolean;
}

/** `causeway apply`: brings the running mesh to what the file says, or leaves everything as it is. */
export async function apply(options: ApplyOptions, output: Output): Promise<void> {
  if (options.uninstall) await uninstall(options, output);
  else await applyConfig(loadConfig(options.file), options, output);
}

/** Brings the running mesh to one without the suite, or leaves everything as it is. `causeway apply` brings the suite back. */
async function uninstall(options: ApplyOptions, output: Output): Promise<void> {
  const deployment = await openDeployment(options);
  const { name: mesh, plain } = deployment.mesh;
  if (plain !== undefined) {
    output.result('nothing to do', { mesh, steps: [], applied: false });
    return;
  }
  const steps = planOfUninstall(deployment);
  output.note(steps.flatMap(({ name, changes }) => [`${name}:`, ...changes.map((line) => `  ${line}`)]).join('\n'));
  if (options.dryRun) {
    output.result('nothing done (--dry-run)', { mesh, steps, applied: false });
    return;
  }
  const start = performance.now();
  await interruptible((signal) => deployment.uninstall(output.progress, signal));
  const elapsedMs = Math.round(performance.now() - start);
  const took = `${(elapsedMs / 1000).toFixed(1)} s`;
  output.result(`the suite is out after ${took}; \`causeway apply\` brings it back`, {
    mesh,
    steps,
    applied: true,
    elapsedMs,
  });
}

function planOfUninstall(deployment: Deployment): { name: string; changes: string[] }[] {
  try {
    return deployment.previewUninstall().map(({ name, changes }) => ({ name, changes: describeChanges(changes) }));
  } catch (error) {
    if (error instanceof NeedsSuite) throw new CommandError(EXIT.invalid, error.message);
    throw error;
  }
}

/** The running mesh that the options name; fails with status 4 when there is none. */
export async function openDeployment(options: GlobalOptions): Promise<Deployment> {
  const state = stateFolder(options);
  const record = readRecord(state);
  if (!record || !(await isSupervised(state))) {
    throw new CommandError(EXIT.state, 'no such mesh runs; `causeway up` starts it');
  }
  const prefix = containerPrefix(record.driver, record.mesh.network.prefix);
  const deployment = Deployment.open({
    state,
    driver: attachedDriver(state),
    driverName: record.driver,
    wasmPath: options.wasm === undefined ? record.wasmPath : findAssets(options.wasm).wasmPath,
    resolve: resolveOptions({ ...options, network: record.mesh.network.prefix }, prefix),
  });
  if (!deployment) throw new CommandError(EXIT.state, 'no such mesh runs');
  return deployment;
}

/** Applies a checked configuration to the mesh of its name. */
export async function applyConfig(loaded: LoadedConfig, options: ApplyOptions, output: Output): Promise<void> {
  const deployment = await openDeployment({ ...options, mesh: loaded.config.mesh });
  const { plans, changes } = deployment.preview(loaded);
  const summary = describeChanges(changes);
  const configDiff = unifiedDiff(deployment.text, loaded.text, loaded.file);
  output.note([configDiff, ...summary].join('\n'));
  const rendered = options.full
    ? changes.updated.map(({ plan, before, files }) =>
        files
          .map((path) => unifiedDiff(before.files[path] ?? '', plan.node.files[path] ?? '', `${plan.node.id}/${path}`))
          .join(''),
      )
    : [];
  if (rendered.length > 0) output.note(rendered.join(''));
  const data = { mesh: loaded.config.mesh, diff: configDiff, changes: summary, nodes: plans.length };
  if (options.dryRun) {
    output.result(summary.length === 0 ? 'nothing to do' : 'nothing done (--dry-run)', { ...data, applied: false });
    return;
  }
  const result = await interruptible((signal) => deployment.apply(loaded, output.progress, signal));
  const took = `${(result.elapsedMs / 1000).toFixed(1)} s`;
  output.result(result.changed ? `applied in ${took}` : 'nothing to do', {
    ...data,
    applied: result.changed,
    elapsedMs: Math.round(result.elapsedMs),
  });
}
