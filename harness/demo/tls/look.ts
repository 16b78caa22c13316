import { EnvoyAdmin } from '../../envoy/admin.ts';
import { realClock } from '../../process/wait.ts';
import type { Stage } from '../stage.ts';

/** What all callers of a service say of their calls in a span of time. */
export interface Look {
  calls: number;
  /** By TLS, in percent. */
  share: number;
  mismatched: number;
  /** At the end of the span. */
  tlsConnections: number;
  plainConnections: number;
}

const EVENTS = 'wasmcustom.causeway_connection_elimination_';

export async function lookAt(stage: Stage, service: string, spanMs: number): Promise<Look> {
  const before = await sums(stage, service);
  await realClock.sleep(spanMs);
  const after = await sums(stage, service);
  const [tls, plain] = [after.tls - before.tls, after.plain - before.plain];
  return {
    calls: tls + plain,
    share: (100 * tls) / Math.max(1, tls + plain),
    mismatched: after.mismatched - before.mismatched,
    tlsConnections: after.tlsConnections,
    plainConnections: after.plainConnections,
  };
}

async function sums(stage: Stage, service: string) {
  const total = { tls: 0, plain: 0, mismatched: 0, tlsConnections: 0, plainConnections: 0 };
  for (const { adminSocket } of stage.claimants) {
    const stats = await new EnvoyAdmin(adminSocket).stats(
      `(connection_elimination_|cluster\\.${service}_.*cx_active$)`,
    );
    for (const [name, value] of stats) {
      if (name === `${EVENTS}requests_total.result.tls.service.${service}`) total.tls += value;
      else if (name === `${EVENTS}requests_total.result.plain.service.${service}`) total.plain += value;
      else if (name === `${EVENTS}mismatch_total.service.${service}`) total.mismatched += value;
      else if (name.startsWith(`cluster.${service}_tls_`)) total.tlsConnections += value;
      else if (name.startsWith(`cluster.${service}_`)) total.plainConnections += value;
    }
  }
  return total;
}
