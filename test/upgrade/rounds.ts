import { realClock } from '../../harness/process/wait.ts';
import type { UpgradeStage, Version } from './stage.ts';

/** Every proxy between callers and callees has the other version than they: by its place in the order of calls. */
export function alternating(stage: UpgradeStage, gateway: Version): ReadonlyMap<string, Version> {
  const other: Version = gateway === 'old' ? 'new' : 'old';
  const depths = depthOf(stage);
  return new Map(stage.ids.map((id) => [id, (depths.get(id) ?? 0) % 2 === 0 ? gateway : other]));
}

/** Longest way of calls from a gateway, which itself has 0. */
function depthOf({ mesh }: UpgradeStage): ReadonlyMap<string, number> {
  const depth = new Map<string, number>();
  const visit = (name: string, at: number): void => {
    if ((depth.get(name) ?? 0) >= at) return;
    depth.set(name, at);
    for (const callee of mesh.services.find((service) => service.name === name)?.calls ?? []) visit(callee, at + 1);
  };
  for (const gateway of mesh.gateways) for (const { service } of gateway.routes) visit(service, 1);
  return new Map(mesh.services.flatMap(({ name, instances }) => instances.map(({ id }) => [id, depth.get(name) ?? 0])));
}

/** Brings proxies to the stated versions, one after the other. Milliseconds of each change that was needed. */
export async function reach(stage: UpgradeStage, wanted: ReadonlyMap<string, Version>): Promise<number[]> {
  const took: number[] = [];
  for (const [id, version] of wanted) if (stage.versionOf(id) !== version) took.push(await stage.change(id, version));
  return took;
}

/** The same for all of them at once: a release that is taken back in a hurry. */
export async function reachAtOnce(stage: UpgradeStage, wanted: ReadonlyMap<string, Version>): Promise<number[]> {
  const changing = [...wanted].filter(([id, version]) => stage.versionOf(id) !== version);
  return Promise.all(changing.map(([id, version]) => stage.change(id, version)));
}

function allOf(stage: UpgradeStage, version: Version): ReadonlyMap<string, Version> {
  return new Map(stage.ids.map((id) => [id, version]));
}

/**
 * The whole of it once: every second proxy new, then every other one instead, so that both versions have called each other on
 * every edge; then all new; then all old again at once. `holdMs`: how long each state lasts under load. `forward`: how the new
 * one spreads.
 */
export async function round(stage: UpgradeStage, holdMs: number, forward = reach): Promise<number[]> {
  const took: number[] = [];
  const hold = () => realClock.sleep(holdMs);
  for (const gateway of ['old', 'new'] as const) {
    took.push(...(await forward(stage, alternating(stage, gateway))));
    await hold();
  }
  took.push(...(await forward(stage, allOf(stage, 'new'))));
  await hold();
  took.push(...(await reachAtOnce(stage, allOf(stage, 'old'))));
  await hold();
  return took;
}
