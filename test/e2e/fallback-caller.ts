import { type LaneScheme, type LaneService, laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { fallbackBridge, type RouteOptions, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import type { Lane } from '../../envoy-configs/mesh.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type Answer, envoy, listener } from '../bench/fallback-retry/rig.ts';
import { fallbackFilter } from '../bench/fallback-retry/wasm.ts';

export const TAG = 'x-asm-traffic-lane';
export const SERVED = 'x-causeway-served-lane';
export const WANTED = 'x-causeway-wanted-lane';
export const PORT = 15001;

export const LANES: readonly Lane[] = [
  { name: 'dev1', mode: 'permissive', chain: ['base'] },
  { name: 'gold', mode: 'strict', chain: [] },
  { name: 'many', mode: 'permissive', chain: ['base'] },
  { name: 'transfer', mode: 'permissive', chain: ['GROUP_2', 'base'] },
];

function section(scheme: LaneScheme, authority: string): Record<string, unknown> {
  return {
    baseline: scheme.baseline,
    stages: scheme.stages,
    lanes: LANES,
    services: [{ name: 'reviews', authorities: [authority] }],
    edges: 'all',
  };
}

/** A caller's Envoy in front of one service. */
export async function caller(
  name: string,
  address: string,
  callee: LaneService,
  options: RouteOptions = {},
): Promise<Envoy> {
  const scheme = laneScheme({ baseline: 'base', lanes: LANES, steering: [] });
  return envoy(name, {
    listeners: [
      listener({
        name: 'outbound',
        address,
        port: PORT,
        filters: [await fallbackFilter(section(scheme, 'reviews:9080')), fallbackBridge()],
        routes: serviceRoutes(callee, scheme, { ...options, report: { tagHeader: TAG, baseline: 'base' } }),
      }),
    ],
    clusters: serviceClusters(callee, scheme),
  });
}

export function laneOf(instance: string): string {
  return instance.replace(/-\d+$/, '');
}

/** Until `send` to each lane is answered by that lane: Envoy's workers know that all is well. */
export async function settled(send: (lane: string) => Promise<Answer>, ...lanes: string[]): Promise<void> {
  await waitUntil(
    `answers from ${lanes.join(', ')}`,
    async () => {
      for (const lane of lanes) {
        const { status, instance } = await send(lane);
        if (laneOf(instance) !== lane) return notYet(`${lane}: ${status} ${instance}`);
      }
      return found(undefined);
    },
    { deadlineMs: 20_000 },
  );
}
