import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { allInstances, findInstance, type Mesh } from '../../envoy-configs/mesh.ts';
import { IDENTITY, identityOf, ROOTS, secretsFolder } from '../../envoy-configs/tls.ts';
import type { StateFolder } from '../drivers/state.ts';
import type { Identity } from './authority.ts';
import { privateFolder, writePrivate } from './private-files.ts';

/**
 * The secrets of a mesh's nodes, as Envoy's file SDS reads them: one resource in one file, so that a certificate and its key
 * change together, by one rename.
 */

/** A certificate is renewed when less than this share of its lifetime is left. */
const RENEW_BELOW = 1 / 3;

export interface IssueOptions {
  /** Also those that are good for long enough. */
  readonly all?: boolean;
  /** Only nodes of these names (services and gateways). */
  readonly only?: readonly string[];
}

/** Who a node is: all instances of a service are one identity, a gateway is its own. */
export function nodeName(mesh: Mesh, id: string): string {
  return findInstance(mesh, id)?.service ?? id;
}

/** Makes and renews what the nodes of a mesh need; returns the nodes that got something new. */
export async function issueSecrets(
  mesh: Mesh,
  state: Pick<StateFolder, 'target' | 'authority'>,
  { all = false, only }: IssueOptions = {},
): Promise<string[]> {
  const { tls } = mesh;
  if (tls === null) return [];
  // The certificate library takes longer to load than most commands: a mesh without TLS does not wait for it.
  const { Authority } = await import('./authority.ts');
  const authority = await Authority.open(state.authority, mesh.name);
  const { nodeDir } = state.target('');
  const issued: string[] = [];
  for (const id of [...mesh.gateways, ...allInstances(mesh)].map((node) => node.id)) {
    const name = nodeName(mesh, id);
    if (only !== undefined && !only.includes(name)) continue;
    const folder = secretsFolder(nodeDir(id));
    if (!all && existsSync(secretPaths(folder).roots) && isFresh(folder)) continue;
    const identity = await authority.issue({
      uri: identityOf(mesh.name, name),
      hosts: [name],
      lifetimeMs: tls.lifetimeMs,
    });
    await writeSecrets(folder, identity, authority.root);
    issued.push(id);
  }
  return issued;
}

export function secretPaths(folder: string): { identity: string; roots: string } {
  return { identity: join(folder, `${IDENTITY}.json`), roots: join(folder, `${ROOTS}.json`) };
}

/** Puts an identity, and whom to trust, where a node's Envoy watches. */
export async function writeSecrets(folder: string, identity: Identity, roots: string): Promise<void> {
  privateFolder(folder);
  const paths = secretPaths(folder);
  await writePrivate(paths.roots, secret(ROOTS, { validation_context: { trusted_ca: { inline_string: roots } } }));
  await writePrivate(
    paths.identity,
    secret(IDENTITY, {
      tls_certificate: {
        certificate_chain: { inline_string: identity.certificate },
        private_key: { inline_string: identity.key },
      },
    }),
  );
}

function secret(name: string, fields: object): string {
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
  return `${JSON.stringify({ resources: [{ '@type': type, name, ...fields }] })}\n`;
}

/** The certificate that a node has now; undefined without one that can be read. */
export function certificateOf(folder: string): X509Certificate | undefined {
  try {
    const text = readFileSync(secretPaths(folder).identity, 'utf8');
    const { resources } = JSON.parse(text) as {
      resources: { tls_certificate: { certificate_chain: { inline_string: string } } }[];
    };
    return new X509Certificate(resources[0]?.tls_certificate.certificate_chain.inline_string ?? '');
  } catch {
    return undefined;
  }
}

function isFresh(folder: string): boolean {
  const certificate = certificateOf(folder);
  if (!certificate) return false;
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return to - Date.now() > (to - from) * RENEW_BELOW;
}
