import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MAX_BODY_BYTES, openApi } from '../../harness/centre/api.ts';
import { Centre } from '../../harness/centre/centre.ts';
import { Credentials, sha256 } from '../../harness/centre/credentials.ts';
import { RedisStore } from '../../harness/centre/redis-store.ts';
import { CentreServer, type TlsFiles } from '../../harness/centre/server.ts';
import { MemoryStore, type Store } from '../../harness/centre/store.ts';
import { checkerOf } from '../../harness/config/schema-errors.ts';
import { Redis, whyNoRedis } from './redis.ts';

const AGENT = 'agent-token-0123456789';
const OTHER = 'other-token-0123456789';
const OPERATOR = 'operator-token-0123456789';
const SIDECAR = 'sidecar-token-0123456789';
const SPIFFE = 'spiffe://mesh/ns/default/sa/reviews';
const HOST = '127.0.3.1:9080';
const SYNC = { sequence: 1, since: 0, services: ['reviews'], hosts: [] };
const ISOLATE = { sequence: 1, instance: 'reviews-base-2', isolated: true };
const ROW = { service: 'reviews', host: HOST, requests: 100, errors: 60, listed: true };

let server: CentreServer;
let centre: Centre;
let url: string;

const credentials = new Credentials([
  { identity: 'a', role: 'agent', tokenSha256: sha256(AGENT) },
  { identity: 'b', role: 'agent', tokenSha256: sha256(OTHER) },
  { identity: 'reviews-base-2', role: 'agent', tokenSha256: sha256(SIDECAR) },
  { identity: 'o', role: 'operator', tokenSha256: sha256(OPERATOR) },
  { identity: 'mtls', role: 'agent', certificate: SPIFFE },
]);

async function start(store: Store = new MemoryStore(), tls?: TlsFiles): Promise<void> {
  const hosts = [1, 2, 3, 4].map((n) => ({
    host: `127.0.3.${n}:9080`,
    instance: `reviews-base-${n}`,
    healthPath: '/health',
    tls: null,
    obeys: n > 1,
  }));
  centre = new Centre({
    store,
    instances: new Map([['reviews', hosts]]),
    recovery: { apply: false },
    id: 'one',
    probe: async () => true,
  });
  const options = { centre, credentials, address: '127.0.0.1', port: 0, version: '1' };
  server = await CentreServer.start(tls ? { ...options, tls } : options);
  url = `${tls ? 'https' : 'http'}://127.0.0.1:${server.port}`;
}

interface Answer {
  status: number;
  body: unknown;
  text: string;
}

async function ask(
  method: 'GET' | 'POST',
  path: string,
  token?: string,
  body?: unknown,
  dispatcher?: Agent,
): Promise<Answer> {
  const answer = await request(`${url}${path}`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(dispatcher ? { dispatcher } : {}),
  });
  const text = await answer.body.text();
  const json = (answer.headers['content-type'] ?? '').includes('json');
  return { status: answer.statusCode, text, body: json ? JSON.parse(text) : undefined };
}

/** The answer, checked against the published description: no status or field that it does not name. */
async function described(
  method: 'GET' | 'POST',
  path: string,
  token?: string,
  body?: unknown,
  template = path,
): Promise<Answer> {
  const answer = await ask(method, path, token, body);
  const { paths } = openApi('1') as {
    paths: Record<
      string,
      Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>
    >;
  };
  const response = paths[template]?.[method.toLowerCase()]?.responses[String(answer.status)];
  expect(response, `${method} ${path} ${answer.status}`).toBeDefined();
  const schema = response?.content?.['application/json']?.schema;
  if (schema) expect(checkerOf(schema)(answer.body)).toEqual([]);
  return answer;
}

afterEach(() => server.stop());

describe('an agent', () => {
  beforeEach(() => start());

  it('reports and hears what two of them have brought about', async () => {
    for (const token of [AGENT, OTHER]) {
      expect((await described('POST', '/v1/sync', token, { ...SYNC, hosts: [ROW] })).status).toBe(200);
    }
    await centre.tick();
    const { body } = await described('POST', '/v1/sync', AGENT, { ...SYNC, sequence: 2 });
    expect(body).toMatchObject({ verdicts: [{ host: HOST, verdict: 'quarantine' }], refused: 0 });
    expect((await described('GET', '/v1/verdicts', OPERATOR)).body).toMatchObject({ verdicts: [{ host: HOST }] });
  });
});

describe('an operator', () => {
  beforeEach(() => start());

  it('gives a verdict by hand, within the bounds', async () => {
    const order = { service: 'reviews', host: HOST, verdict: 'quarantine', seconds: 5 };
    expect((await described('POST', '/v1/verdicts', OPERATOR, order)).status).toBe(200);
    const second = await described('POST', '/v1/verdicts', OPERATOR, { ...order, host: '127.0.3.2:9080' });
    expect(second, '2 of 4 are more than 30 %').toMatchObject({ status: 409 });
    expect((await described('POST', '/v1/verdicts', OPERATOR, { ...order, verdict: 'ok' })).status).toBe(200);
    expect((await described('POST', '/v1/verdicts', OPERATOR, { ...order, host: '127.0.3.9:9080' })).status).toBe(409);
  });
});

/** The agent of an instance asks. */
const asked = (path: string, token?: string) =>
  described('GET', `/v1/isolations/${path}`, token, undefined, '/v1/isolations/{instance}');

describe('an isolation', () => {
  beforeEach(() => start());

  it('is ordered by an operator, heard by the agent of the instance, and listed', async () => {
    const waiting = asked('reviews-base-2', SIDECAR);
    const { status, body } = await described('POST', '/v1/isolations', OPERATOR, ISOLATE);
    expect([status, body]).toMatchObject([200, { isolated: true, by: 'o', heard: false }]);
    expect(await waiting).toMatchObject({ status: 200, body: { isolated: true, expiresInMs: 60_000 } });
    expect((await described('GET', '/v1/isolations', OPERATOR)).body).toMatchObject({
      isolations: [{ isolated: true }],
    });
  });

  it('keeps nobody who wants to stop the server', async () => {
    const waiting = asked('reviews-base-2', SIDECAR).catch(() => undefined);
    await expect.poll(async () => (await ask('GET', '/metrics')).text).toContain('causeway_centre_questions 1');
    const began = performance.now();
    await server.stop();
    expect(performance.now() - began).toBeLessThan(2_000);
    await waiting;
    await start();
  });

  it.each([
    ['no credential', 401, 'reviews-base-2', undefined, 'credential'],
    ['another instance’s agent', 403, 'reviews-base-2', AGENT, 'instance'],
    ['an operator', 403, 'reviews-base-2', OPERATOR, 'role'],
    ['a version that is none', 400, 'reviews-base-2?known=-1', SIDECAR, 'body'],
    ['a version beyond 2^53', 400, 'reviews-base-2?known=9999999999999999', SIDECAR, 'body'],
  ])('asked for with %s: %d', async (_what, status, path, token, reason) => {
    const answer = await asked(path, token);
    expect(answer.status).toBe(status);
    expect((answer.body as { error: string }).error).toMatch(/found .*expected/);
    expect(centre.metrics.get('refused_total', { reason })).toBe(1);
  });
});

describe('bad input', () => {
  beforeEach(() => start());
  const big = 'x'.repeat(MAX_BODY_BYTES + 1);

  it.each<[string, number, string, string | undefined, unknown, string]>([
    ['no credential', 401, '/v1/sync', undefined, SYNC, 'credential'],
    ['an unknown token', 401, '/v1/sync', 'nobody-token-0123456789', SYNC, 'credential'],
    ['an agent as operator', 403, '/v1/verdicts', AGENT, { service: 'reviews', host: HOST, verdict: 'ok' }, 'role'],
    ['an operator as agent', 403, '/v1/sync', OPERATOR, SYNC, 'role'],
    ['an order without a credential', 401, '/v1/isolations', undefined, ISOLATE, 'credential'],
    ['an order with an unknown token', 401, '/v1/isolations', 'nobody-token-0123456789', ISOLATE, 'credential'],
    ['an order of an agent', 403, '/v1/isolations', SIDECAR, ISOLATE, 'role'],
    ['an order without a sequence', 400, '/v1/isolations', OPERATOR, { ...ISOLATE, sequence: undefined }, 'body'],
    ['an order on a path', 400, '/v1/isolations', OPERATOR, { ...ISOLATE, instance: '../x' }, 'body'],
    ['no JSON', 400, '/v1/sync', AGENT, 'hello', 'body'],
    ['another type', 400, '/v1/sync', AGENT, [], 'body'],
    ['a missing field', 400, '/v1/sync', AGENT, { ...SYNC, hosts: undefined }, 'body'],
    ['an unknown field', 400, '/v1/sync', AGENT, { ...SYNC, admin: true }, 'body'],
    ['a negative count', 400, '/v1/sync', AGENT, { ...SYNC, hosts: [{ ...ROW, requests: -1 }] }, 'body'],
    ['too many rows', 400, '/v1/sync', AGENT, { ...SYNC, hosts: Array(513).fill(ROW) }, 'body'],
    ['a host that is a URL', 400, '/v1/sync', AGENT, { ...SYNC, hosts: [{ ...ROW, host: 'http://evil/' }] }, 'body'],
    [
      'a long verdict',
      400,
      '/v1/verdicts',
      OPERATOR,
      { service: 'reviews', host: HOST, verdict: 'quarantine', seconds: 61 },
      'body',
    ],
  ])('%s: %d', async (_what, status, path, token, body, reason) => {
    const answer = await described('POST', path, token, body);
    expect(answer.status).toBe(status);
    expect((answer.body as { error: string }).error).toMatch(/found .*expected/);
    expect(centre.metrics.get('refused_total', { reason })).toBe(1);
    expect(centre.metrics.get('reports_total')).toBe(0);
  });

  it('more than 256 KiB: 413, also without a length', async () => {
    expect((await ask('POST', '/v1/sync', AGENT, big)).status).toBe(413);
    const chunked = await new Promise<string>((resolve) => {
      const socket = connect(server.port, '127.0.0.1');
      let text = '';
      socket.on('data', (part: Buffer) => (text += part.toString()));
      socket.on('close', () => resolve(text));
      socket.on('error', () => resolve(text));
      socket.write(
        `POST /v1/sync HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${AGENT}\r\ntransfer-encoding: chunked\r\n\r\n`,
      );
      socket.write(`${big.length.toString(16)}\r\n${big}\r\n`);
    });
    expect(chunked).toContain('413');
  });

  it('a report sent again: 409', async () => {
    expect((await described('POST', '/v1/sync', AGENT, SYNC)).status).toBe(200);
    expect((await described('POST', '/v1/sync', AGENT, SYNC)).status).toBe(409);
  });

  it('an order sent again, on an unknown instance, on the one that takes none: 409', async () => {
    const order = (rest: object) => described('POST', '/v1/isolations', OPERATOR, { ...ISOLATE, ...rest });
    expect((await order({})).status).toBe(200);
    expect((await order({})).status).toBe(409);
    expect((await order({ sequence: 2, instance: 'reviews-base-9' })).status).toBe(409);
    expect((await order({ sequence: 3, instance: 'reviews-base-1' })).status).toBe(409);
  });

  it('more than ten requests of one identity in a second: 429', async () => {
    const statuses = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, n) => (await ask('POST', '/v1/sync', AGENT, { ...SYNC, sequence: n + 1 })).status,
      ),
    );
    expect(statuses).toContain(429);
    expect((await ask('POST', '/v1/sync', OTHER, SYNC)).status, 'others are not in its way').toBe(200);
  });

  it('another path: 404', async () => {
    expect((await ask('GET', '/v1/sync', AGENT)).status).toBe(404);
    expect((await ask('GET', '/../etc/passwd')).status).toBe(404);
  });
});

describe('what anybody may ask', () => {
  beforeEach(() => start());

  it('is health, metrics and the description', async () => {
    expect((await described('GET', '/healthz')).status).toBe(200);
    await ask('POST', '/v1/sync', AGENT, SYNC);
    const { text } = await described('GET', '/metrics');
    expect(text).toContain('# TYPE causeway_centre_reports_total counter\ncauseway_centre_reports_total 1\n');
    expect((await described('GET', '/openapi.json')).body).toEqual(JSON.parse(JSON.stringify(openApi('1'))));
  });
});

describe('a credentials file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cw-credentials-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  beforeEach(() => start());

  it.each([
    ['{', /credentials\.json: /],
    [
      '{"credentials": [{"identity": "a", "role": "king"}]}',
      /credentials\.0\.role: found "king", expected one of agent, operator/,
    ],
    ['{"credentials": [{"identity": "a", "role": "agent"}]}', /a: found no credential/],
    ['{"credentials": [{"identity": "a", "role": "agent", "tokenSha256": "clear text"}]}', /tokenSha256/],
  ])('that says %s is refused', (text, message) => {
    const path = join(dir, 'credentials.json');
    writeFileSync(path, text);
    expect(() => Credentials.read(path)).toThrow(message);
  });

  it('without TLS serves loopback alone', async () => {
    await expect(
      CentreServer.start({ centre, credentials, address: '0.0.0.0', port: 0, version: '1' }),
    ).rejects.toThrow('expected loopback');
  });
});

describe('certificates', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cw-centre-tls-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: dir, timeout: 30_000 });
  const read = (name: string) => readFileSync(join(dir, name));

  async function issue(name: string, signer: string, san: string): Promise<void> {
    await openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    );
    writeFileSync(join(dir, `${name}.ext`), `subjectAltName=${san}`);
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${signer}.crt`,
      '-CAkey',
      `${signer}.key`,
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
    );
  }

  beforeAll(async () => {
    for (const ca of ['ca', 'stranger']) {
      await openssl(
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        `${ca}.key`,
        '-out',
        `${ca}.crt`,
        '-days',
        '2',
        '-subj',
        `/CN=${ca}`,
      );
    }
    await issue('centre', 'ca', 'IP:127.0.0.1');
    await issue('agent', 'ca', `URI:${SPIFFE}`);
    await issue('unknown', 'ca', 'URI:spiffe://mesh/unknown');
    await issue('forged', 'stranger', `URI:${SPIFFE}`);
  }, 60_000);

  it.each([
    ['agent', 200],
    ['unknown', 401],
    ['forged', 401],
  ])('%s: %d', async (name, status) => {
    await start(new MemoryStore(), { cert: read('centre.crt'), key: read('centre.key'), ca: read('ca.crt') });
    const dispatcher = new Agent({
      connect: { ca: read('ca.crt'), cert: read(`${name}.crt`), key: read(`${name}.key`) },
    });
    expect((await ask('POST', '/v1/sync', undefined, SYNC, dispatcher)).status).toBe(status);
    await dispatcher.close();
  });
});

describe.skipIf(whyNoRedis() !== null)('without its Redis', () => {
  it('the centre takes nothing, says so, and goes on when Redis is back', async () => {
    const redis = await Redis.start();
    await start(await RedisStore.connect(redis.url));
    expect((await described('POST', '/v1/sync', AGENT, SYNC)).status).toBe(200);
    await redis.stop();
    expect((await described('POST', '/v1/sync', AGENT, { ...SYNC, sequence: 2 })).status).toBe(503);
    await expect.poll(async () => (await ask('GET', '/healthz')).status, { timeout: 10_000 }).toBe(503);
  });
});
