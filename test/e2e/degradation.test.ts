/** Degradation on a real Envoy: the section comes from the words of `causeway.yaml`, and is switched as `apply` does it. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { laneScheme } from '../../envoy-configs/clusters.ts';
import { routerFilter, wasmExtension, wasmPlace } from '../../envoy-configs/filters.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { outboundSections } from '../../envoy-configs/sections.ts';
import { discoveryFile, PATHS } from '../../envoy-configs/xds.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';
import { realClock } from '../../harness/process/wait.ts';
import { Http2Client } from '../bench/fallback-retry/rig.ts';
import { staticCluster } from '../support/agent-envoy.ts';
import { blast } from '../support/blast.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const STEP_MS = 2_000;
const BREAKER = `breaker: { coolDownMs: 1000, maxCoolDownMs: 1000, stepMs: ${STEP_MS} }`;
/** Shares that pass in the steps of a breaker's return, percent. */
const STEPS = [5, 10, 25, 50];

let folder: string;
let module: string;
let envoy: Envoy;
let url: string;
let seen = 0;
let behave: 'well' | 'badly' | 'never' = 'well';
const client = new Agent({ connections: 32 });

const app = createServer((_request, response) => {
  seen++;
  if (behave === 'never') return;
  response.statusCode = behave === 'well' ? 200 : 500;
  response.end('the application');
});

/** The service `orders`: HTTP/2, and gRPC where that is asked for, whose status is in the trailers. */
const orders = createHttp2Server((request, response) => {
  const well = behave === 'well';
  if (request.headers['content-type'] !== 'application/grpc') {
    response.statusCode = well ? 200 : 500;
    response.end('orders');
    return;
  }
  response.setHeader('content-type', 'application/grpc');
  response.addTrailers({ 'grpc-status': well ? '0' : '14' });
  // One message of no bytes: trailers need a body before them.
  response.end(Buffer.alloc(5));
});

/** The outbound section of one caller in a mesh with this about degradation. */
function section(service: string, degradation: string): object {
  const yaml = `mesh: test
gateways: [{ name: edge, routes: [{ prefix: /, service: web }] }]
services:
  web: { instances: { base: {} } }
  reviews: { ${service}${service === '' ? '' : ', '}interfaces: [{ name: one, template: '/reviews/{id}' }], instances: { base: {} } }
  orders: { protocol: grpc, ${service}${service === '' ? '' : ', '}instances: { base: {} } }
degradation: ${degradation}
`;
  const mesh = resolveMesh(parseConfig(yaml, 'causeway.yaml'));
  const web = mesh.services.find(({ name }) => name === 'web')?.instances[0];
  if (web === undefined) throw new Error('no instance');
  return outboundSections(mesh, laneScheme(mesh), web, mesh.services).degradation ?? {};
}

/** As `causeway apply` pushes it. */
async function push(service: string, degradation: string): Promise<void> {
  const sections = { degradation: section(service, degradation) } as Parameters<typeof wasmExtension>[2];
  const path = join(folder, PATHS.extension('causeway.outbound'));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, discoveryFile('extension', [wasmExtension('outbound', module, sections)]));
  await rename(`${path}.new`, path);
}

interface Got {
  readonly status: number;
  readonly degraded: string | undefined;
  readonly body: string;
}

let number = 0;

async function call(options: { headers?: Record<string, string>; timeoutMs?: number } = {}): Promise<Got> {
  const answer = await request(`${url}/reviews/7`, {
    dispatcher: client,
    headers: { host: 'reviews', 'x-request-id': `trace-${number++}`, ...options.headers },
    signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
  });
  const degraded = answer.headers['x-causeway-degraded'];
  return { status: answer.statusCode, degraded: degraded?.toString(), body: await answer.body.text() };
}

/** So many calls, `width` at a time. */
async function calls(count: number, width = 8): Promise<Got[]> {
  const got: Got[] = [];
  let left = count;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) got.push(await call());
    }),
  );
  return got;
}

/** Share of so many calls that was answered in this way, percent; fewer calls when the time is over before. */
async function shareOf(kind: string, count: number, ms?: number): Promise<{ percent: number; count: number }> {
  const first = number;
  number += count;
  const { answers, marked } = await blast(
    {
      port: Number(new URL(url).port),
      request: (n) => `GET /reviews/7 HTTP/1.1\r\nhost: reviews\r\nx-request-id: trace-${first + n}\r\n\r\n`,
      count,
      ...(ms === undefined ? {} : { ms }),
    },
    new RegExp(`\r\nx-causeway-degraded: ${kind}\r\n`),
  );
  return { percent: (marked / answers) * 100, count: answers };
}

/** Calls of which a share drawn at random keeps within two points by four standard deviations. */
const enoughFor = (percent: number): number => Math.ceil(4 * percent * (100 - percent));

/** What a share drawn at random may be off by, points: two, more only where a slow machine has made too few calls. */
const tolerance = (percent: number, count: number): number =>
  Math.max(2, 4 * Math.sqrt((percent * (100 - percent)) / count));

const share = (got: readonly Got[], kind: string): number =>
  (got.filter(({ degraded }) => degraded === kind).length / got.length) * 100;

const until = (what: string, holds: () => Promise<boolean>, timeout = 30_000): Promise<void> =>
  expect.poll(holds, { message: what, timeout, interval: 20 }).toBe(true);

beforeAll(async () => {
  module = await compilePlugin('filters/suite.ts');
  folder = await mkdtemp(join(tmpdir(), 'deg-'));
  await new Promise<void>((resolve) => {
    app.listen(0, '127.0.0.1', resolve);
  });
  await new Promise<void>((resolve) => {
    orders.listen(0, '127.0.0.1', resolve);
  });
  await push(BREAKER, '{}');
  const manager = {
    '@type': HCM,
    stat_prefix: 'outbound',
    generate_request_id: false,
    route_config: {
      virtual_hosts: [
        { name: 'orders', domains: ['orders'], routes: [{ match: { prefix: '/' }, route: { cluster: 'orders' } }] },
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] },
      ],
    },
    http_filters: [wasmPlace('outbound', folder), routerFilter()],
  };
  const adminSocket = join(folder, 'admin.sock');
  const config = join(folder, 'envoy.json');
  await writeFile(
    config,
    JSON.stringify({
      admin: { address: { pipe: { path: adminSocket } } },
      node: { id: 'caller', cluster: 'web' },
      static_resources: {
        listeners: [
          {
            name: 'outbound',
            address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
            filter_chains: [
              { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
            ],
          },
        ],
        clusters: [
          staticCluster('app', [{ port: (app.address() as AddressInfo).port }]),
          {
            ...staticCluster('orders', [{ port: (orders.address() as AddressInfo).port }]),
            typed_extension_protocol_options: {
              [HTTP_OPTIONS]: {
                '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
                explicit_http_config: { http2_protocol_options: {} },
              },
            },
          },
        ],
      },
    }),
  );
  envoy = await startEnvoy({
    name: 'caller',
    binary: (await resolveEnvoy()).path,
    config,
    adminSocket,
    logPath: join(folder, 'envoy.log'),
  });
  const { body } = await envoy.admin.get('/listeners?format=json');
  const port = /"port_value": (\d+)/.exec(body)?.[1];
  url = `http://127.0.0.1:${port}`;
}, 300_000);

afterAll(async () => {
  await client.destroy();
  await envoy?.stop();
  app.closeAllConnections();
  app.close();
  orders.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  behave = 'well';
});

describe('the breaker', () => {
  it('opens on failures, probes once a second, and returns in steps', async () => {
    expect(share(await calls(200), 'breaker')).toBe(0);
    behave = 'badly';
    // The good answers of the last 10 s count, so that it refuses in proportion first.
    await until('an open breaker', async () => {
      await calls(50);
      return /opened_total\S*: [1-9]/.test((await envoy.admin.get('/stats?filter=degradation_opened')).body);
    });
    const [before, from] = [seen, Date.now()];
    await until('three seconds of refusals', async () => {
      await calls(20);
      return Date.now() - from > 3_000;
    });
    expect(seen - before, 'probes').toBeLessThanOrEqual(Math.ceil((Date.now() - from) / 1000) + 1);
    expect(seen - before).toBeGreaterThan(0);
    behave = 'well';
    /** Time of the next answer of the application, one call after the other. */
    const nextAnswer = async () => {
      await until('an answer', async () => (await call()).degraded === undefined);
      return performance.now();
    };
    // Probes are a second apart: two answers that are nearer say that the first one has begun the return.
    let began = await nextAnswer();
    for (let next = await nextAnswer(); next - began > 500; next = await nextAnswer()) began = next;
    for (const passing of STEPS) {
      // What is answered later belongs to the next step.
      const left = STEP_MS - (performance.now() - began);
      const refused = await shareOf('breaker', enoughFor(passing), left - 200);
      const passed = 100 - refused.percent;
      console.log(`at ${passing} %: ${passed.toFixed(1)} % of ${refused.count} passed`);
      expect(Math.abs(passed - passing), `${passing} %`).toBeLessThan(tolerance(passing, refused.count));
      await realClock.sleep(STEP_MS - (performance.now() - began));
      // The first answer after its time ends a step.
      began = await nextAnswer();
    }
    expect(share(await calls(200), 'breaker'), 'closed again').toBe(0);
  });

  it('takes callers that give up for timeouts', async () => {
    await push('breaker: { coolDownMs: 1000, stepMs: 500, cancelMs: 300 }', '{}');
    behave = 'never';
    await Promise.allSettled(Array.from({ length: 30 }, () => call({ timeoutMs: 600 })));
    await until('a refusal', async () => {
      const tried = await Promise.allSettled(Array.from({ length: 10 }, () => call({ timeoutMs: 600 })));
      return tried.some((one) => one.status === 'fulfilled' && one.value.degraded === 'breaker');
    });
  });
});

describe('switched while it runs', () => {
  it('a proportional drop takes its share, within two points, and none when it is gone', async () => {
    await push('', '{ drops: [{ name: third, from: [web], to: [reviews], interface: one, percent: 30 }] }');
    await until('the drop', async () => share(await calls(40), 'drop') > 0);
    const { percent, count } = await shareOf('drop', enoughFor(30));
    console.log(`a drop of 30 %: ${percent.toFixed(1)} % of ${count}`);
    expect(Math.abs(percent - 30)).toBeLessThan(2);
    const [first, again] = [
      await call({ headers: { 'x-request-id': 'same' } }),
      await call({ headers: { 'x-request-id': 'same' } }),
    ];
    expect(again.degraded, 'one trace').toBe(first.degraded);
    await push('', '{ drops: [{ name: third, from: [web], to: [reviews], percent: 0 }] }');
    await until('no drop', async () => share(await calls(40), 'drop') === 0);
  });

  it('a cut answers in place of the dependency, which is not asked', async () => {
    const cut = (on: boolean) =>
      `{ cuts: [{ name: off, service: reviews, on: ${on}, answer: { status: 203, body: '{"stars":null}' } }] }`;
    await push('', cut(true));
    await until('the stand-in', async () => (await call()).degraded === 'cut');
    const before = seen;
    expect(await call()).toEqual({ status: 203, degraded: 'cut', body: '{"stars":null}' });
    expect(seen).toBe(before);
    await push('', cut(false));
    await until('the application', async () => (await call()).body === 'the application');
  });
});

describe.each([
  { kind: 'HTTP/2', headers: {}, good: '200', failed: '500', refused: '503', cut: '203' },
  {
    kind: 'gRPC',
    headers: { 'content-type': 'application/grpc', te: 'trailers' },
    good: '200 0',
    failed: '200 14',
    refused: '200 14',
    cut: '200 0',
  },
])('$kind', ({ headers, good, failed, refused, cut }) => {
  it('is dropped, cut, and stopped by a breaker, each answered in its own way', async () => {
    const client = new Http2Client('127.0.0.1', Number(new URL(url).port));
    /** How so many calls were answered, and by whom: `app`, or what was done here. */
    const answers = async (count = 20): Promise<Set<string>> => {
      const all = await Promise.all(
        Array.from({ length: count }, () => client.call({ host: 'orders', path: '/orders.Orders/List', headers })),
      );
      return new Set(
        all.map(({ status, grpcStatus, headers: given }) =>
          [status, grpcStatus, given['x-causeway-degraded'] ?? 'app'].filter((part) => part !== '').join(' '),
        ),
      );
    };
    const become = (what: string, wanted: string): Promise<void> =>
      until(what, async () => {
        const seen = await answers();
        return seen.size === 1 && seen.has(wanted);
      });
    try {
      await push('', '{ drops: [{ name: all, from: [web], to: [orders], percent: 100 }] }');
      await become('a drop', `${refused} drop`);
      const answer = "{ status: 203, grpcStatus: 0, body: '' }";
      await push('', `{ cuts: [{ name: off, service: orders, on: true, answer: ${answer} }] }`);
      await become('a cut', `${cut} cut`);
      await push('breaker: { coolDownMs: 60000 }', '{}');
      await become('the application', `${good} app`);
      behave = 'badly';
      expect(await answers(1)).toEqual(new Set([`${failed} app`]));
      await become('an open breaker', `${refused} breaker`);
    } finally {
      client.close();
    }
  });
});
