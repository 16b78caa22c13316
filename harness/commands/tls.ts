import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { table } from '../cli/table.ts';
import * as edits from '../config/edit-tls.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { certificateOf, issueSecrets } from '../tls/secrets.ts';
import { openDeployment } from './apply.ts';
import { editAndApply, type LaneOptions } from './lane.ts';

export type TlsMode = 'on' | 'off' | 'canary';

/** `causeway tls on|off|canary`: edits the file and applies it, like every change of a service. */
export function tlsSet(
  service: string,
  mode: TlsMode,
  percent: number | undefined,
  options: LaneOptions,
  output: Output,
): Promise<void> {
  return editAndApply(options, output, (text) => edits.setTls(text, service, mode, percent));
}

/** `10`, `10%` or `2.5%`. */
export function percentOf(text: string): number {
  const match = /^([0-9]{1,3}(?:\.[0-9]{1,4})?)%?$/.exec(text);
  const percent = Number(match?.[1]);
  if (match && percent <= 100) return percent;
  throw new CommandError(EXIT.invalid, `found ${JSON.stringify(text)}, expected a share such as 10%`);
}

/** `causeway tls rotate`: new certificates and keys for some services and gateways, or for all; nothing restarts. */
export async function tlsRotate(names: readonly string[], options: GlobalOptions, output: Output): Promise<void> {
  const { mesh } = await openDeployment(options);
  if (mesh.tls === null) throw new CommandError(EXIT.invalid, 'this mesh has no `tls`, so there are no certificates');
  const known = [...mesh.services, ...mesh.gateways.map(({ id }) => ({ name: id }))].map(({ name }) => name);
  const stranger = names.find((name) => !known.includes(name));
  if (stranger !== undefined) {
    throw new CommandError(EXIT.invalid, `found ${JSON.stringify(stranger)}, expected one of ${known.join(', ')}`);
  }
  const state = stateFolder(options);
  const nodes = await issueSecrets(mesh, state, { all: true, ...(names.length === 0 ? {} : { only: names }) });
  output.result(`${nodes.length} new certificates`, { nodes });
}

/** `causeway tls status`: what is wanted, and what the callers' proxies say is so. */
export async function tlsStatus(options: GlobalOptions, output: Output): Promise<void> {
  const { mesh, plans } = await openDeployment(options);
  const stats = await Promise.all(
    plans.map(({ node }) =>
      new EnvoyAdmin(node.adminSocket)
        .stats('^(wasmcustom\\.causeway_connection_elimination_|cluster\\..*upstream_cx_active$)')
        .catch(() => new Map<string, number>()),
    ),
  );
  const sum = (wanted: (name: string) => boolean): number =>
    stats.reduce((total, own) => {
      let part = 0;
      for (const [name, value] of own) if (wanted(name)) part += value;
      return total + part;
    }, 0);
  const counted = (event: string, service: string) =>
    sum((name) => name === `wasmcustom.causeway_connection_elimination_${event}.service.${service}`);
  const expiry = new Map(
    plans.flatMap(({ node, app }) => {
      const certificate = node.secrets === null ? undefined : certificateOf(node.secrets);
      return certificate ? [[app?.instance.service ?? node.id, certificate.validTo] as const] : [];
    }),
  );
  const services = mesh.services.map(({ name, tls }) => ({
    service: name,
    wanted: tls === null ? 'none' : tls.mode === 'canary' ? `canary ${tls.percent}%` : tls.mode,
    'by TLS': counted('requests_total.result.tls', name),
    plain: counted('requests_total.result.plain', name),
    mismatched: counted('mismatch_total', name),
    'failed handshakes': counted('handshake_failed_total', name),
    'back to plain': counted('returned_total', name),
    'TLS connections': sum((stat) => stat.startsWith(`cluster.${name}_tls_`)),
    'plain connections': sum((stat) => stat.startsWith(`cluster.${name}_`) && !stat.startsWith(`cluster.${name}_tls_`)),
    'certificate until': expiry.get(name) ?? '',
  }));
  output.result(table(services), { mesh: mesh.name, services });
}
