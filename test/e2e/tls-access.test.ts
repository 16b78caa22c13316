import { exec } from 'node:child_process';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { identityOf, secretsFolder } from '../../envoy-configs/tls.ts';
import { probeWith } from '../../harness/centre/probe.ts';
import { instancesOf } from '../../harness/commands/centre.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Authority, type Identity } from '../../harness/tls/authority.ts';
import { issueSecrets, secretPaths, writeSecrets } from '../../harness/tls/secrets.ts';
import { envoy } from '../bench/fallback-retry/rig.ts';
import { TlsStage } from '../tls/stage.ts';
import { ask, ROOT, temporaryState } from './support.ts';

const HOUR = 3_600_000;
const ISSUER = 'https://issuer.test';

let stage: TlsStage;
let remove: () => Promise<void>;
let authority: Authority;
const jwtKeys = generateKeyPairSync('rsa', { modulusLength: 2048 });

beforeAll(async () => {
  const temporary = await temporaryState();
  remove = temporary.remove;
  const jwks = join(temporary.state.root, 'jwks.json');
  await temporary.state.create();
  const key = { ...jwtKeys.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' };
  writeFileSync(jwks, JSON.stringify({ keys: [key] }));
  const on = 'tls: { mode: on }';
  stage = await TlsStage.open(
    temporary.state,
    '127.84',
    [
      `  ours: { APP, ${on}, callers: [front], instances: { base: {} } }`,
      `  theirs: { APP, ${on}, callers: [ours], instances: { base: {} } }`,
      '  closed: { APP, tls: { mode: on, plaintext: refuse }, instances: { base: {} } }',
      '  second: { APP, protocol: http2, tls: { mode: on, plaintext: refuse }, instances: { base: {} } }',
      `  token: { APP, jwt: { issuer: '${ISSUER}', audiences: [books], jwks: ${jwks} }, instances: { base: {} } }`,
      `  victim: { APP, ${on}, instances: { base: {} } }`,
    ].join('\n'),
  );
  authority = await Authority.open(temporary.state.authority, 'tlstest');
}, 240_000);

afterAll(async () => {
  await stage?.close();
  await remove?.();
});

/** A request made by TLS straight to an instance's sidecar; the answer's first line, or what went wrong. */
function straight(id: string, options: ConnectionOptions): Promise<string> {
  const { address, ports } = stage.instance(id);
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: ports.inbound, ca: authority.root, ...options });
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')));
    socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve(text.split('\r\n')[0] || 'closed'));
  });
}

const clientOf = ({ certificate, key }: Identity) => ({ cert: certificate, key });
/** Names are judged by URI; Node would look for a host name. */
const anyName = { checkServerIdentity: () => undefined };

describe('mutual TLS', () => {
  it('takes callers of this mesh, and nobody else', async () => {
    const mine = await authority.issue({ uri: identityOf('tlstest', 'front'), hosts: ['front'], lifetimeMs: HOUR });
    expect(await straight('closed-base-1', { ...anyName, ...clientOf(mine) })).toBe('HTTP/1.1 200 OK');
    expect(await straight('closed-base-1', anyName)).toMatch(/CERTIFICATE_REQUIRED|closed|ECONNRESET/);
    const { state, remove: away } = await temporaryState();
    const stranger = await (await Authority.open(state.authority, 'tlstest')).issue({
      uri: identityOf('tlstest', 'front'),
      hosts: ['front'],
      lifetimeMs: HOUR,
    });
    await away();
    expect(await straight('closed-base-1', { ...anyName, ...clientOf(stranger) })).toMatch(
      /UNKNOWN_CA|BAD_CERTIFICATE|closed|ECONNRESET/,
    );
  });

  it('leaves no way in for plaintext where that is refused', async () => {
    const { address, ports } = stage.instance('closed-base-1');
    await expect(fetch(`http://${address}:${ports.inbound}/`)).rejects.toThrow();
    const open = stage.instance('victim-base-1');
    expect((await fetch(`http://${open.address}:${open.ports.inbound}/`)).status).toBe(200);
  });
});

describe("the healing centre's probe", () => {
  it('reaches instances that take TLS from this mesh alone, whoever else may call them', async () => {
    const centre = { address: '127.84.250.1', port: 7070, start: false, tls: null, credentials: null };
    expect(await issueSecrets({ ...stage.mesh, centre }, stage.state)).toEqual(['causeway/centre']);
    const folder = secretsFolder(stage.state.centre);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const instances = instancesOf(stage.mesh);
    for (const name of ['closed', 'second', 'theirs', 'front']) {
      const [instance] = instances.get(name) ?? [];
      if (!instance) throw new Error(`no instance of ${name}`);
      expect(await probeWith(folder)(instance), name).toBe(true);
      expect(await probeWith(null)(instance), `${name} without a certificate`).toBe(name === 'front' ? true : null);
    }
    const { state, remove: away } = await temporaryState();
    const stranger = await Authority.open(state.authority, 'tlstest');
    const uri = identityOf('tlstest', 'causeway/centre');
    await writeSecrets(folder, await stranger.issue({ uri, hosts: [], lifetimeMs: HOUR }), authority.root);
    await away();
    const [closed] = instances.get('closed') ?? [];
    expect(closed && (await probeWith(folder)(closed)), 'refused by its Envoy').toBeNull();
  });
});

describe('callers by identity', () => {
  it('are let in, others are answered 403', async () => {
    expect(await stage.call('ours')).toBe(200);
    expect(await stage.call('theirs')).toBe(403);
  });

  it('cannot be told by a header, nor in plaintext', async () => {
    const { address, ports } = stage.instance('theirs-base-1');
    const forged = { 'x-forwarded-client-cert': `URI=${identityOf('tlstest', 'ours')}` };
    expect((await fetch(`http://${address}:${ports.inbound}/`, { headers: forged })).status).toBe(403);
    expect(await stage.call('theirs', forged)).toBe(403);
    expect((await fetch(`http://${address}:${ports.inbound}/health`)).status, 'health checks are open').toBe(200);
  });
});

describe('a token', () => {
  const tokenOf = (claims: object, key = jwtKeys.privateKey) => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: 'k1', typ: 'JWT' })}.${part(claims)}`;
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  };
  const now = Math.floor(Date.now() / 1000);
  const good = { iss: ISSUER, aud: 'books', exp: now + 600 };

  it('opens, and each wrong one is answered 401 or 403', async () => {
    const ask = (token: string) => stage.call('token', { authorization: `Bearer ${token}` });
    expect(await stage.call('token')).toBe(401);
    expect(await ask(tokenOf(good))).toBe(200);
    expect(await ask(tokenOf({ ...good, iss: 'https://other.test' }))).toBe(401);
    expect(await ask(tokenOf({ ...good, exp: now - 600 }))).toBe(401);
    expect(await ask(tokenOf({ ...good, aud: 'films' }))).toBe(403);
    expect(await ask(tokenOf(good, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey))).toBe(401);
    expect(await ask('x')).toBe(401);
  });
});

describe('certificates that are no good', () => {
  const folder = () => secretsFolder(stage.node('victim-base-1').dir);
  const issue = (fields: object = {}) =>
    authority.issue({ uri: identityOf('tlstest', 'victim'), hosts: ['victim'], lifetimeMs: HOUR, ...fields });
  const counter = (pattern: RegExp, id: string) =>
    stage
      .admin(id)
      .stats()
      .then((stats) => [...stats].filter(([name]) => pattern.test(name)).reduce((sum, [, value]) => sum + value, 0));
  const rises = async (what: string, read: () => Promise<number>, from: number) =>
    waitUntil(what, async () => ((await read()) > from ? found(undefined) : notYet('not yet')), { deadlineMs: 10_000 });

  async function replacedBy(identity: Identity): Promise<void> {
    const updates = () => counter(/ssl_context_update_by_sds$/, 'victim-base-1');
    const before = await updates();
    await writeSecrets(folder(), identity, authority.root);
    await rises('the new certificate in use', updates, before);
  }

  /** New connections: the ones that are open have passed their check. */
  async function afresh(): Promise<number> {
    await stage.admin().post('/reset_counters');
    await waitUntil(
      'no connection left',
      async () => {
        const { connections } = (await stage.pools('victim')).tls;
        return connections === 0 ? found(undefined) : notYet(`${connections} connections`);
      },
      { deadlineMs: 10_000 },
    );
    return stage.call('victim');
  }

  it('of another service, or expired: calls are answered 503, never in plaintext, and all is well with the next good one', {
    timeout: 90_000,
  }, async () => {
    expect(await stage.call('victim')).toBe(200);
    const bad = [await issue({ uri: identityOf('tlstest', 'ours') }), await issue({ from: Date.now() - 2 * HOUR })];
    for (const identity of bad) {
      await replacedBy(identity);
      expect(await afresh()).toBe(503);
      expect((await stage.pools('victim')).plain.requests).toBe(0);
      await replacedBy(await issue());
      await waitUntil(
        'victim answers again',
        async () => ((await stage.call('victim')) === 200 ? found(undefined) : notYet('503')),
        { deadlineMs: 10_000 },
      );
    }
    const log = readFileSync(stage.state.log('victim-base-1', 'envoy'), 'utf8');
    expect(log).not.toMatch(/critical/);
  });

  it('whose key is another one’s: Envoy refuses them and goes on with those that it has', {
    timeout: 60_000,
  }, async () => {
    const refused = () => counter(/sds\.identity\.(update_rejected|key_rotation_failed)$/, 'victim-base-1');
    const before = await refused();
    const [one, other] = [await issue(), await issue()];
    await writeSecrets(folder(), { certificate: one.certificate, key: other.key }, authority.root);
    await rises('the refusal', refused, before);
    expect(await stage.call('victim')).toBe(200);
    expect(await afresh()).toBe(200);
    await replacedBy(await issue());
  });
});

describe('secrets', () => {
  it('are in folders that their owner alone can open, and nowhere else', async () => {
    await issueSecrets(stage.mesh, stage.state);
    const { dir, secrets, files } = stage.node('victim-base-1');
    for (const folder of [secrets ?? '', stage.state.authority]) {
      expect(statSync(folder).mode & 0o777, folder).toBe(0o700);
      for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
    }
    expect(secrets).toBe(secretsFolder(dir));
    const key = /-----BEGIN PRIVATE KEY-----\\n(.{40})/.exec(
      readFileSync(secretPaths(secrets ?? '').identity, 'utf8'),
    )?.[1];
    expect(key).toHaveLength(40);
    const dump = JSON.stringify(await stage.admin('victim-base-1').configDump());
    expect(dump).toContain('identity');
    for (const text of [dump, ...Object.values(files)]) {
      expect(text).not.toContain('PRIVATE KEY');
      expect(text).not.toContain(key);
      expect(text).not.toContain(Buffer.from('-----BEGIN PRIVATE').toString('base64').slice(0, 20));
    }
  });

  it('name their node by URI, and are signed by the mesh’s own authority', async () => {
    const text = readFileSync(secretPaths(stage.node('victim-base-1').secrets ?? '').identity, 'utf8');
    const pem = (
      JSON.parse(text) as { resources: { tls_certificate: { certificate_chain: { inline_string: string } } }[] }
    ).resources[0]?.tls_certificate.certificate_chain.inline_string;
    const certificate = new X509Certificate(pem ?? '');
    expect(certificate.subjectAltName).toContain('URI:spiffe://tlstest/victim');
    expect(certificate.verify(new X509Certificate(authority.root).publicKey)).toBe(true);
  });
});

describe('the example', { timeout: 60_000 }, () => {
  it('does what it says, on its own ports, with the certificate that it says how to make', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'cw-'));
    const file = join(ROOT, 'envoy-configs/examples/connection-elimination.yaml');
    const [, command = ''] = /^# +(openssl [\s\S]*?reviews\.crt)$/m.exec(readFileSync(file, 'utf8')) ?? [];
    await promisify(exec)(command.replaceAll(/\\\n#/g, ' '), { cwd: dir, timeout: 30_000 });
    const text = readFileSync(file, 'utf8')
      .replaceAll(/filename: (reviews\.(?:crt|key))/g, `filename: ${dir}/$1`)
      .replace('build/causeway.wasm', join(ROOT, 'build/causeway.wasm'));
    const { static_resources } = parse(text) as { static_resources: Parameters<typeof envoy>[1] };
    const proxy = await envoy('example', static_resources);
    try {
      const say = async (headers: Record<string, string>) =>
        (await ask('http://127.0.0.1:15097/', { host: 'reviews', ...headers })).text;
      const first = await Promise.all(Array.from({ length: 40 }, (_, n) => say({ 'x-trace': String(n) })));
      const byTls = first.filter((answer) => answer === 'by TLS\n').length;
      expect(first.filter((answer) => answer === 'in plaintext\n')).toHaveLength(40 - byTls);
      expect(byTls).toBeGreaterThan(8);
      expect(byTls).toBeLessThan(32);
      const again = await Promise.all(Array.from({ length: 40 }, (_, n) => say({ 'x-trace': String(n) })));
      expect(again, 'sticky by trace').toEqual(first);
      expect(await say({ 'x-causeway-tls': '1' })).toBe('in plaintext\n');
    } finally {
      await proxy.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
