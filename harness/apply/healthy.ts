import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, waitUntil } from '../process/wait.ts';

/** Waits until none of a node's hosts at these addresses fails, or has not yet had, its health check. */
export async function hostsHealthy(
  { id, adminSocket }: Pick<RenderedNode, 'id' | 'adminSocket'>,
  addresses: ReadonlySet<string>,
  deadlineMs: number,
): Promise<void> {
  const admin = new EnvoyAdmin(adminSocket);
  const look = async () => {
    const waiting = (await admin.hosts()).find((host) => addresses.has(host.address) && host.unhealthy.length > 0);
    return waiting
      ? notYet(`${waiting.cluster} ${waiting.address}: ${waiting.unhealthy.join(', ')}`)
      : found(undefined);
  };
  await waitUntil(`${id}: hosts healthy`, look, { deadlineMs });
}
