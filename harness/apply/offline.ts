import { controlAddress, DRAIN_SECONDS } from '../../envoy-configs/isolation.ts';
import type { HealthCheck, Mesh } from '../../envoy-configs/mesh.ts';
import type { AppPlan, NodePlan } from '../drivers/driver.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, realClock, waitUntil } from '../process/wait.ts';

/** Graceful offline: an instance is told that it will end, its callers go elsewhere, what it has in hand it finishes. */

/** Callers' last resort checks its hosts that much more seldom; see envoy-configs/clusters.ts. */
const SLOWEST_CHECKS = 4;
/** Between a check and what it changes. */
const MARGIN_MS = 300;

/**
 * Tells an instance to go offline and waits until nobody sends to it and nothing is under way in it, for the mesh's drain
 * time at most. False where it has no control listener that this process could reach: then nothing was done.
 */
export async function goOffline(mesh: Mesh, plan: NodePlan, check: HealthCheck): Promise<boolean> {
  const { app, node } = plan;
  if (!app || !(await order(app, 'offline'))) return false;
  // By then every caller has seen a check fail, so that none of them has its eye on a connection that is about to end.
  await realClock.sleep(check.intervalMs * SLOWEST_CHECKS + check.timeoutMs + MARGIN_MS);
  const admin = new EnvoyAdmin(node.adminSocket);
  await waitUntil(
    `${node.id}: nothing under way`,
    async () => {
      const active = (await admin.stats('^http\\.inbound\\.downstream_rq_active$')).values().next().value ?? 0;
      return active === 0 ? found(undefined) : notYet(`${active} requests`);
    },
    { deadlineMs: (mesh.isolation?.drainSeconds ?? DRAIN_SECONDS) * 1000 },
  ).catch(() => undefined);
  return true;
}

async function order(app: AppPlan, word: 'offline' | 'online'): Promise<boolean> {
  const { instance } = app;
  const address = controlAddress(instance);
  // In a container loopback is the container's own.
  if (address !== instance.address) return false;
  const url = `http://${address}:${instance.ports.control}/causeway/${word}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
  return answer?.status === 200;
}
