import type { NodePlan } from '../drivers/driver.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, waitUntil } from '../process/wait.ts';

/**
 * Waits until every proxy's own health checks have reached every instance of these services by TLS: before calls are sent that
 * way, the way has been tried from everywhere, certificates included. Proxies that do not run are passed over.
 */
export async function tlsReady(
  plans: readonly NodePlan[],
  services: readonly string[],
  deadlineMs: number,
): Promise<void> {
  const wanted = services.map((name) => `${name}.tls.`);
  await Promise.all(
    plans.map(({ node }) => {
      const admin = new EnvoyAdmin(node.adminSocket);
      return waitUntil(
        `${node.id}: ${services.join(', ')} reached by TLS`,
        async () => {
          const hosts = await admin.hosts().catch(() => []);
          const failing = hosts.find(
            ({ cluster, unhealthy }) => unhealthy.length > 0 && wanted.some((prefix) => cluster.startsWith(prefix)),
          );
          return failing
            ? notYet(`${failing.cluster} ${failing.address}:${failing.port}: ${failing.unhealthy.join(', ')}`)
            : found(undefined);
        },
        { deadlineMs },
      );
    }),
  );
}
