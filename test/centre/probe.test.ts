/** The centre's own look at an instance: which way it goes, whom it takes for well, and when it says nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createPlain, type RequestListener, type Server } from 'node:http';
import { createServer as createEncrypted } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { identityOf } from '../../envoy-configs/tls.ts';
import { type Probed, type ProbedTls, probeWith } from '../../harness/centre/probe.ts';
import { instancesOf } from '../../harness/commands/centre.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { Authority, type Identity } from '../../harness/tls/authority.ts';
import { writeSecrets } from '../../harness/tls/secrets.ts';

const MINUTE = 60_000;
const REVIEWS = identityOf('m', 'reviews');
const dir = mkdtempSync(join(tmpdir(), 'cw-probe-'));
const own = join(dir, 'own');
const servers: Server[] = [];
let ours: Authority;
let strangers: Authority;
let certificate: Identity;

const issue = (authority: Authority, uri: string, from = Date.now()) =>
  authority.issue({ uri, hosts: ['x'], lifetimeMs: MINUTE, from });
const centreBy = (authority: Authority, from?: number) => issue(authority, identityOf('m', 'causeway/centre'), from);

beforeAll(async () => {
  ours = await Authority.open(join(dir, 'ours'), 'm');
  strangers = await Authority.open(join(dir, 'strangers'), 'm');
  certificate = await issue(ours, REVIEWS);
  await writeSecrets(own, await centreBy(ours), ours.root);
});

afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(dir, { recursive: true, force: true });
});

const well: RequestListener = (_request, response) => response.end('well');

async function at(server: Server, tls: ProbedTls | null): Promise<Probed> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, healthPath: '/health', tls };
}

const plain = (tls: ProbedTls | null, handler = well) => at(createPlain(handler), tls);

interface ServerOptions {
  readonly handler?: RequestListener;
  readonly identity?: Identity;
  readonly only?: boolean;
}

/** Takes TLS alone, and only from who has a certificate of our authority. */
function encrypted({ handler = well, identity = certificate, only = true }: ServerOptions = {}) {
  const { certificate: cert, key } = identity;
  const server = createEncrypted({ cert, key, ca: ours.root, requestCert: true, rejectUnauthorized: true }, handler);
  return at(server, { serverName: 'reviews', identity: REVIEWS, only });
}

describe('by TLS', () => {
  it('shows its certificate, names the service and asks for the health path', async () => {
    const seen: unknown[] = [];
    const instance = await encrypted({
      handler: (request, response) => {
        const socket = request.socket as TLSSocket;
        seen.push([
          request.url,
          request.headers['user-agent'],
          socket.servername,
          socket.getPeerCertificate().subjectaltname,
        ]);
        response.end();
      },
    });
    expect(await probeWith(own)(instance)).toBe(true);
    expect(seen).toEqual([
      ['/health', 'causeway-probe', 'reviews', expect.stringContaining('URI:spiffe://m/causeway/centre')],
    ]);
  });

  it.each<[string, () => Promise<Probed>]>([
    ['an answer of 503', () => encrypted({ handler: (_request, response) => response.writeHead(503).end() })],
    ['no answer', () => encrypted({ handler: () => {} })],
    ['plaintext in its place', () => plain({ serverName: 'reviews', identity: REVIEWS, only: true })],
    [
      'the identity of another service',
      async () => encrypted({ identity: await issue(ours, identityOf('m', 'ratings')) }),
    ],
    ['a certificate that a stranger has signed', async () => encrypted({ identity: await issue(strangers, REVIEWS) })],
    ['nobody there', async () => ({ ...(await encrypted()), host: '127.0.0.1:1' })],
  ])('%s is a failure', async (_what, open) => {
    expect(await probeWith(own)(await open())).toBe(false);
  });

  it.each<[string, (folder: string) => Promise<void>]>([
    ['without a certificate', async () => {}],
    [
      'with one that has expired',
      async (to) => writeSecrets(to, await centreBy(ours, Date.now() - 2 * MINUTE), ours.root),
    ],
    ['with one that the instance refuses', async (to) => writeSecrets(to, await centreBy(strangers), ours.root)],
  ])('%s it says nothing about an instance', async (what, prepare) => {
    const folder = join(dir, what);
    await prepare(folder);
    expect(await probeWith(folder)(await encrypted())).toBeNull();
    expect(await probeWith(null)(await encrypted())).toBeNull();
  });

  it('takes a renewed certificate without a restart', async () => {
    const folder = join(dir, 'renewed');
    const probe = probeWith(folder);
    const instance = await encrypted();
    expect(await probe(instance)).toBeNull();
    await writeSecrets(folder, await centreBy(ours), ours.root);
    expect(await probe(instance)).toBe(true);
  });
});

describe('an instance that takes both', () => {
  it('is asked in plaintext, and by TLS when that gets no answer', async () => {
    const both = { serverName: 'reviews', identity: REVIEWS, only: false };
    expect(await probeWith(null)(await plain(both))).toBe(true);
    expect(await probeWith(own)(await encrypted({ only: false }))).toBe(true);
    const failing = await plain(both, (_request, response) => response.writeHead(500).end());
    expect(await probeWith(own)(failing)).toBe(false);
    expect(await probeWith(null)(await encrypted({ only: false })), 'plaintext could be tried').toBe(false);
  });
});

it('goes the way of the calls', () => {
  const text = `mesh: m
tls: {}
gateways: [{ name: gateway, routes: [{ prefix: /, service: on }] }]
services:
  on: { command: [x], tls: { mode: on, plaintext: refuse }, instances: { base: {} } }
  off: { command: [x], instances: { base: {}, old: { tls: false } } }
lanes: { old: {} }
`;
  const instances = instancesOf(resolveMesh(parseConfig(text, 'causeway.yaml')));
  const ways = [...instances.values()].flat().map(({ instance, tls }) => [instance, tls]);
  expect(ways).toEqual([
    ['on-base-1', { serverName: 'on', identity: 'spiffe://m/on', only: true }],
    ['off-base-1', { serverName: 'off', identity: 'spiffe://m/off', only: false }],
    ['off-old-1', null],
  ]);
});
