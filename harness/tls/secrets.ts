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

/** The healing centre's identity. No service and no gateway can be called so. */
const CENTRE = 'causeway/centre';

/** Who a node is: all instances of a service are one identity, a gateway is its own. */
export function nodeName(mesh: Mesh, id: string): string {
  return findInstance(mesh, id)?.service ?? id;
}

/** Makes and renews what the nodes of a mesh need, its healing centre too; returns the nodes that got something new. */
export async function issueSecrets(
  mesh: Mesh,
  state: Pick<StateFolder, 'target' | 'authority' | 'centre'>,
  { all = false, only }: IssueOptions = {},
): Promise<string[]> {
  const { tls } = mesh;
  if (tls === null) return [];
  // The certificate library takes longer to load than most commands: a mesh without TLS does not wait for it.
  const { Authority } = await import('./authority.ts');
  const authority = await Authority.open(state.authority, mesh.name);
  const { nodeDir } = state.target('');
  const issued: string[] = [];
  const nodes = [...mesh.gateways, ...allInstances(mesh)].map(({ id }) => {
    return { id, name: nodeName(mesh, id), folder: secretsFolder(nodeDir(id)) };
  });
  const centre = mesh.centre === null ? [] : [{ id: CENTRE, name: CENTRE, folder: secretsFolder(state.centre) }];
  for (const { id, name, folder } of [...nodes, ...centre]) {
    if (only !== undefined && !only.includes(name)) continue;
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

/** What a node has now, PEM. */
export interface NodeSecrets extends Identity {
  /** Whom it trusts. */
  readonly roots: string;
}

/** Undefined where something is missing or cannot be read. */
export function readSecrets(folder: string): NodeSecrets | undefined {
  const paths = secretPaths(folder);
  try {
    const { tls_certificate: own } = resourceIn(paths.identity) as {
      tls_certificate: Record<'certificate_chain' | 'private_key', { inline_string: string }>;
    };
    const { validation_context: trust } = resourceIn(paths.roots) as {
      validation_context: { trusted_ca: { inline_string: string } };
    };
    const certificate = own.certificate_chain.inline_string;
    return {
      certificate: new X509Certificate(certificate).toString(),
      key: own.private_key.inline_string,
      roots: trust.trusted_ca.inline_string,
    };
  } catch {
    return undefined;
  }
}

function resourceIn(path: string): unknown {
  const { resources } = JSON.parse(readFileSync(path, 'utf8')) as { resources: unknown[] };
  return resources[0];
}

/** The certificate that a node has now; undefined without one that can be read. */
export function certificateOf(folder: string): X509Certificate | undefined {
  const secrets = readSecrets(folder);
  return secrets && new X509Certificate(secrets.certificate);
}

function isFresh(folder: string): boolean {
  const certificate = certificateOf(folder);
  if (!certificate) return false;
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return to - Date.now() > (to - from) * RENEW_BELOW;
}
