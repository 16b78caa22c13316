import { isIsolated, openInstances } from '../../envoy-configs/isolation.ts';
import { findInstance, type Instance, laneChain, type Mesh, type Service } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { readRecord } from '../apply/record.ts';
import { attachedDriver } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { table } from '../cli/table.ts';
import * as edits from '../config/edit-isolation.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import type { NodeStatus } from '../drivers/driver.ts';
import { isSupervised } from '../drivers/supervisor.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { openDeployment } from './apply.ts';
import { centreIsolations, isViaCentre, orderIsolation, type ViaOptions } from './isolate-centre.ts';
import { editAndApply, type LaneOptions, type MatchOptions, matcherOf } from './lane.ts';

export interface IsolateOptions extends LaneOptions, MatchOptions, ViaOptions {
  /** Also where nobody else could serve. */
  readonly force?: boolean;
}

const MATCHERS = ['header', 'path', 'method', 'percent', 'match', 'cookie', 'query'] as const;

/**
 * `causeway isolate`: takes all traffic, or what matches, off one instance. Edits the file and applies it; the one thing
 * that changes is what the instance's own proxy is told.
 */
export async function isolate(id: string, options: IsolateOptions, output: Output): Promise<void> {
  const chosen = MATCHERS.some((key) => options[key] !== undefined);
  if (isViaCentre(options)) {
    if (chosen)
      throw new CommandError(EXIT.invalid, '--via centre takes all traffic off an instance, without matchers');
    return orderIsolation(id, true, options, output);
  }
  const loaded = loadConfig(options.file);
  const mesh = resolveMesh(loaded.config);
  known(mesh, id);
  if (!mesh.filters.isolation.enabled) {
    throw new CommandError(
      EXIT.invalid,
      'filters.isolation is switched off in the file: nothing would keep requests out',
    );
  }
  if (!chosen && !options.force) refuseLast(mesh, id, await statuses(loaded, options));
  const match = chosen ? matcherOf(options) : undefined;
  await editAndApply(options, output, (text) => edits.isolateInstance(text, id, match));
}

/** `causeway release`. */
export function release(id: string, options: LaneOptions & ViaOptions, output: Output): Promise<void> {
  if (isViaCentre(options)) return orderIsolation(id, false, options, output);
  return editAndApply(options, output, (text) => edits.releaseInstance(text, id));
}

/** `causeway isolation`: which instances are isolated, and what their proxies say of it. */
export async function isolationStatus(options: LaneOptions & ViaOptions, output: Output): Promise<void> {
  if (isViaCentre(options)) return centreIsolations(options, output);
  const { mesh, plans } = await openDeployment(options);
  const isolated = await Promise.all(
    (mesh.isolation?.instances ?? []).map(async ({ id, match }) => {
      const node = plans.find((plan) => plan.node.id === id)?.node;
      const stats = await new EnvoyAdmin(node?.adminSocket ?? '')
        .stats('^wasmcustom\\.causeway_isolation_')
        .catch(() => new Map<string, number>());
      const counted = (event: string) => stats.get(`wasmcustom.causeway_isolation_${event}`) ?? 0;
      return {
        instance: id,
        'keeps out': match === null ? 'everything' : JSON.stringify(match),
        refused: counted('refused_total.reason.isolated') + counted('refused_total.reason.rule'),
        'let in for diagnosis': counted('diagnosis_total'),
        reset: counted('reset_total'),
      };
    }),
  );
  output.result(isolated.length === 0 ? 'no instance is isolated' : table(isolated), { mesh: mesh.name, isolated });
}

function known(mesh: Mesh, id: string): void {
  if (findInstance(mesh, id)) return;
  const ids = mesh.services.flatMap(({ instances }) => instances.map((instance) => instance.id));
  throw new CommandError(EXIT.invalid, `no instance ${id}; there are: ${ids.join(', ')}`);
}

/** What runs, when the mesh does; else everything counts as running. */
async function statuses(loaded: LoadedConfig, options: LaneOptions): Promise<readonly NodeStatus[] | null> {
  const state = stateFolder({ ...options, mesh: loaded.config.mesh });
  if (readRecord(state) === undefined || !(await isSupervised(state))) return null;
  return attachedDriver(state).status();
}

/** Refuses to take out the last instance that could answer what this one answers. */
function refuseLast(mesh: Mesh, id: string, running: readonly NodeStatus[] | null): void {
  const service = mesh.services.find(({ instances }) => instances.some((instance) => instance.id === id));
  const instance = service?.instances.find((candidate) => candidate.id === id);
  if (!service || !instance || isIsolated(mesh, id)) return;
  if (others(mesh, service, instance, running).length > 0) return;
  throw new CommandError(
    EXIT.invalid,
    `${id} is the last usable instance of ${service.name} for lane ${instance.lane}: its requests would be answered 503; --force isolates it all the same`,
  );
}

function others(
  mesh: Mesh,
  service: Service,
  instance: Instance,
  running: readonly NodeStatus[] | null,
): readonly Instance[] {
  const lanes = laneChain(mesh, instance.lane);
  const runs = (id: string) => {
    const status = running?.find((candidate) => candidate.id === id);
    return running === null || (status?.app.state === 'running' && status.sidecar.state === 'running');
  };
  return openInstances(mesh, service).filter(
    (other) => other.id !== instance.id && lanes.includes(other.lane) && runs(other.id),
  );
}
