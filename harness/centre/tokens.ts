import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TOKEN, tokenPath } from '../../envoy-configs/centre.ts';
import { calleesByProxy, type Mesh } from '../../envoy-configs/mesh.ts';
import { secretsFolder } from '../../envoy-configs/tls.ts';
import type { StateFolder } from '../drivers/state.ts';
import { privateFolder, writePrivate } from '../tls/private-files.ts';
import { sha256 } from './credentials.ts';

/**
 * Who the agents of a mesh are to the healing centre: each proxy has a token of its own, in its folder of secrets, as Envoy's
 * file SDS reads it; the centre's file has the hashes, and the services that each may speak of.
 */
const TOKEN_BYTES = 32;
const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

export function credentialsFile(state: Pick<StateFolder, 'centre'>): string {
  return join(state.centre, 'credentials.json');
}

/** The token of whoever may give orders, in a file that only this user can read. */
export function operatorTokenFile(state: Pick<StateFolder, 'centre'>): string {
  return join(state.centre, 'operator.token');
}

/** Makes the tokens that are missing, and the centre's file. Does nothing where somebody else hands out tokens. */
export async function issueTokens(mesh: Mesh, state: Pick<StateFolder, 'target' | 'centre'>): Promise<void> {
  const { centre } = mesh;
  if (centre === null || centre.credentials !== null) return;
  const { nodeDir } = state.target('');
  const credentials: object[] = [];
  const healed = new Set(mesh.services.filter(({ healing }) => healing).map(({ name }) => name));
  for (const [id, callees] of calleesByProxy(mesh)) {
    const services = callees.filter((name) => healed.has(name));
    const path = tokenPath(centre, id, secretsFolder(nodeDir(id)));
    if (!existsSync(path)) await writeToken(path, newToken());
    credentials.push({ identity: id, role: 'agent', tokenSha256: sha256(tokenIn(path)), services });
  }
  privateFolder(state.centre);
  const operator = operatorTokenFile(state);
  if (!existsSync(operator)) await writePrivate(operator, `${newToken()}\n`);
  credentials.push({
    identity: 'operator',
    role: 'operator',
    tokenSha256: sha256(readFileSync(operator, 'utf8').trim()),
  });
  await writePrivate(credentialsFile(state), `${JSON.stringify({ credentials }, null, 2)}\n`);
}

function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Puts a token where a proxy's Envoy watches. */
export async function writeToken(path: string, token: string): Promise<void> {
  privateFolder(dirname(path));
  const secret = {
    '@type': SECRET_TYPE,
    name: TOKEN,
    generic_secret: { secret: { inline_string: `Bearer ${token}` } },
  };
  await writePrivate(path, `${JSON.stringify({ resources: [secret] })}\n`);
}

function tokenIn(path: string): string {
  const { resources } = JSON.parse(readFileSync(path, 'utf8')) as {
    resources: { generic_secret: { secret: { inline_string: string } } }[];
  };
  return (resources[0]?.generic_secret.secret.inline_string ?? '').replace(/^Bearer /, '');
}
