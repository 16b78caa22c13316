import type { Mesh } from '../../envoy-configs/mesh.ts';

/** Something of a mesh that only the suite can do, so that it has to go before the suite does. */
export class NeedsSuite extends Error {
  override name = 'NeedsSuite';
}

/** One state on the way, whole by itself. */
export interface UninstallStep {
  /** For people and for folders. */
  readonly name: 'untagged' | 'unfiltered' | 'prepared' | 'routed' | 'plain';
  readonly mesh: Mesh;
}

/**
 * The meshes through which the suite leaves without a failed request:
 *
 *   1. untagged     no rule is left, so new requests are the baseline's; tagged ones end
 *   2. unfiltered   no wasm filter of a role is left; the routes' own list leads to the baseline
 *   3. prepared     plain clusters stand beside the suite's and check their hosts
 *   4. routed       listeners and routes are plain
 *   5. plain        the suite's clusters, and the agents, are gone
 *
 * Throws {@link NeedsSuite}.
 */
export function uninstallSteps(mesh: Mesh): UninstallStep[] {
  refuse(mesh);
  const untagged: Mesh = { ...mesh, rules: [] };
  return [
    { name: 'untagged', mesh: untagged },
    { name: 'unfiltered', mesh: { ...untagged, plain: 'unfiltered' } },
    { name: 'prepared', mesh: { ...untagged, plain: 'prepared' } },
    { name: 'routed', mesh: { ...untagged, plain: 'routed' } },
    { name: 'plain', mesh: { ...untagged, agent: null, centre: null, plain: 'only' } },
  ];
}

/** From a plain mesh back to the suite: the same way, and then all of it. */
export function installSteps(mesh: Mesh): Mesh[] {
  const [...steps] = uninstallSteps(mesh).map((step) => step.mesh);
  return [...steps.reverse(), mesh];
}

function refuse(mesh: Mesh): void {
  const [isolated] = mesh.isolation?.instances ?? [];
  if (isolated) {
    throw new NeedsSuite(
      `isolation.instances: found ${isolated.id}, expected none: without the filter it gets its traffic again; release it first`,
    );
  }
  const sharded = mesh.services.find(({ shards }) => shards > 0);
  if (sharded) {
    throw new NeedsSuite(
      `services.${sharded.name}.shards: found ${sharded.shards}, expected 0: only lane-fallback chooses a shard`,
    );
  }
}
