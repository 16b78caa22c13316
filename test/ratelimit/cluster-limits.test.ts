/** Limits that two instances share: stock Envoys, the reference rate-limit service and a real Redis, all told by one causeway.yaml. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { rateLimitDescriptors } from '../../envoy-configs/cluster-limits.ts';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Redis } from '../centre/redis.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { RateLimitService, whyNoRateLimit } from './service.ts';

const NETWORK = '127.46';
const SERVICE = { address: `${NETWORK}.200.1`, port: 8081 };
const missing = whyNoRateLimit();

let wasmPath: string;
let folder: string;
let redis: Redis;
let service: RateLimitService | undefined;
const envoys: Envoy[] = [];
const apps: Server[] = [];
let instances: string[] = [];

/** The unit is a day, so that nothing depends on when a window begins. */
function mesh(pay = 40, unreachable = 'pass'): Mesh {
  const yaml = `mesh: shared
network: { prefix: '${NETWORK}' }
ratelimit: { address: ${SERVICE.address}, timeout: 5s, unreachable: ${unreachable} }
gateways: [{ name: edge, routes: [{ prefix: /, service: shop }] }]
services:
  shop:
    interfaces: [{ name: pay, methods: [POST], prefix: /pay }, { name: item, template: '/items/{id}' }]
    limits:
      cluster:
        - { name: pay, interface: pay, requests: ${pay}, unit: day }
        - { name: user, interface: item, by: { header: x-user }, requests: 10, unit: day }
    instances: { base: { replicas: 2 } }
`;
  return resolveMesh(parseConfig(yaml, 'causeway.yaml'));
}

function sidecars(of: Mesh): RenderedNode[] {
  const target = {
    wasmPath,
    nodeDir: (id: string) => join(folder, id),
    adminSocket: (id: string) => join(folder, `${id}.sock`),
    accessLog: (id: string) => join(folder, `${id}.access.log`),
  };
  return renderMesh(of, target).filter(({ kind }) => kind === 'sidecar');
}

/** As Envoy follows files: by a rename. */
function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** Sum over both instances of what ends so. */
async function counted(name: RegExp): Promise<number> {
  const all = await Promise.all(envoys.map((envoy) => envoy.admin.stats(name.source)));
  return all.flatMap((stats) => [...stats.values()]).reduce((sum, value) => sum + value, 0);
}

const descriptors = (pay?: number) => stringify(rateLimitDescriptors(mesh(pay)));

beforeAll(async () => {
  if (missing !== null) return;
  wasmPath = await compilePlugin('filters/suite.ts');
  folder = mkdtempSync(join(tmpdir(), 'cw-shared-'));
  redis = await Redis.start();
  service = await RateLimitService.start(SERVICE, redis.url.replace('redis://', ''), { 'shared.yaml': descriptors() });
  const binary = (await resolveEnvoy()).path;
  for (const node of sidecars(mesh())) {
    for (const [path, text] of Object.entries(node.files)) write(join(node.dir, path), text);
    const [inbound = ''] = node.listeners;
    const app = createServer((_request, response) => response.end('done\n'));
    await new Promise<void>((resolve) => app.listen(9081, inbound.split(':')[0], () => resolve()));
    apps.push(app);
    envoys.push(
      await startEnvoy({
        name: node.id,
        binary,
        config: join(node.dir, node.bootstrap),
        adminSocket: node.adminSocket,
        logPath: join(folder, `${node.id}.log`),
        concurrency: 2,
        args: ['--file-flush-interval-msec', '100', ...node.args],
      }),
    );
    instances.push(`http://${inbound}`);
  }
  await waitUntil(
    'both instances',
    async () => {
      const statuses = await Promise.all(instances.map((base) => status(base, 'GET', '/ready')));
      return statuses.every((value) => value === 200) ? found(undefined) : notYet(statuses.join(' '));
    },
    { deadlineMs: 30_000 },
  );
}, 16 * 60_000);

afterAll(async () => {
  await Promise.all(envoys.map((envoy) => envoy.stop(1_000)));
  for (const app of apps) app.close();
  await service?.stop();
  if (missing === null) {
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  instances = [];
});

type Headers = Readonly<Record<string, string>>;

async function answer(base: string, method: 'GET' | 'POST', path: string, headers: Headers = {}) {
  const got = await request(`${base}${path}`, { method, headers: { host: 'shop:9080', ...headers } });
  await got.body.dump();
  return got;
}

async function status(base: string, method: 'GET' | 'POST', path: string, headers: Headers = {}): Promise<number> {
  try {
    return (await answer(base, method, path, headers)).statusCode;
  } catch {
    return 0;
  }
}

/** So many calls, in turn to both instances: how many got through. */
async function passed(calls: number, method: 'GET' | 'POST', path: string, headers: Headers = {}): Promise<number> {
  const statuses = await Promise.all(
    Array.from({ length: calls }, (_, n) => status(instances[n % instances.length] ?? '', method, path, headers)),
  );
  expect(statuses.filter((value) => value !== 200 && value !== 429)).toEqual([]);
  return statuses.filter((value) => value === 200).length;
}

describe.skipIf(missing !== null)('a limit that two instances share', () => {
  it('is met exactly by both together, and by nothing else', async () => {
    expect(await passed(60, 'POST', '/pay/now?a=b')).toBe(40);
    expect(await passed(60, 'GET', '/pay/now'), 'another method').toBe(60);
    expect(await passed(60, 'GET', '/items'), 'another path').toBe(60);
  });

  it('by value holds for each value of its interface', async () => {
    expect(await passed(16, 'GET', '/items/1?x=y', { 'x-user': 'ann' })).toBe(10);
    expect(await passed(10, 'GET', '/items/2', { 'x-user': 'bob' })).toBe(10);
    expect(await passed(16, 'GET', '/items/1'), 'nobody').toBe(16);
    expect(await passed(16, 'GET', '/items/1/parts', { 'x-user': 'ann' }), 'the interface `other`').toBe(16);
  });

  it('is refused as callers understand, and lets health and control pass', async () => {
    const [base = ''] = instances;
    const plain = await answer(base, 'POST', '/pay');
    expect(plain.statusCode).toBe(429);
    expect(plain.headers['x-envoy-ratelimited']).toBe('true');
    expect(await counted(/^cluster\..*ratelimit\.over_limit$/)).toBeGreaterThan(0);
    await waitUntil(
      'the details in the access log',
      async () => {
        const logs = envoys.map(({ name }) => readFileSync(join(folder, `${name}.access.log`), 'utf8')).join('');
        return logs.includes('request_rate_limited') ? found(undefined) : notYet(`${logs.length} bytes`);
      },
      { deadlineMs: 10_000 },
    );
    const grpc = await answer(base, 'POST', '/pay', { 'content-type': 'application/grpc' });
    expect(grpc.headers['grpc-status']).toBe('8');
    expect(await status(base, 'POST', '/pay', { 'x-causeway-class': '0' })).toBe(200);
  });

  it('is changed while the service runs', async () => {
    service?.write('shared.yaml', descriptors(1_000));
    await waitUntil(
      'the new limit',
      async () => ((await passed(2, 'POST', '/pay')) === 2 ? found(undefined) : notYet('the old one')),
      { deadlineMs: 20_000 },
    );
  });

  it('does not hold without the service, which is not to be a single point of failure', async () => {
    service?.write('shared.yaml', descriptors());
    await waitUntil(
      'the limit',
      async () => ((await passed(2, 'POST', '/pay')) === 0 ? found(undefined) : notYet('the other one')),
      { deadlineMs: 20_000 },
    );
    await service?.stop();
    const before = await counted(/^cluster\..*ratelimit\.error$/);
    expect(await passed(10, 'POST', '/pay')).toBe(10);
    expect((await counted(/^cluster\..*ratelimit\.error$/)) - before).toBe(10);
  });

  it('refuses without the service where that is wanted', async () => {
    for (const node of sidecars(mesh(40, 'refuse'))) {
      for (const [path, text] of Object.entries(node.files)) {
        if (path.startsWith('ecds/')) write(join(node.dir, path), text);
      }
    }
    const [base = ''] = instances;
    await waitUntil(
      'a refusal',
      async () => {
        const got = await status(base, 'POST', '/pay');
        return got === 500 ? found(undefined) : notYet(String(got));
      },
      { deadlineMs: 20_000 },
    );
  });
});
