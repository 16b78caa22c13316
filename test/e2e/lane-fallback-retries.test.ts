import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type LaneScheme, laneScheme, serviceClusters, unitCluster } from '../../envoy-configs/clusters.ts';
import {
  applicationRoute,
  fallbackBridge,
  type IdempotentInterface,
  redirectRoutes,
  serviceRoutes,
  TIMEOUT_MS,
  unreachedReply,
} from '../../envoy-configs/lane-routing.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { Backends } from '../bench/fallback-retry/backends.ts';
import { EXAMPLE, example } from '../bench/fallback-retry/example.ts';
import { type Answer, type Call, call, envoy, listener, service } from '../bench/fallback-retry/rig.ts';
import { fallbackFilter } from '../bench/fallback-retry/wasm.ts';
import { caller, LANES, laneOf, PORT, SERVED, settled, TAG } from './fallback-caller.ts';

describe('retries', () => {
  const address = '127.81.0.3';
  const callee = service('reviews', 88, { dev1: 1, base: 2 }, { intervalMs: 60_000 });
  const again = { ...callee, name: 'again', idempotent: true };
  const bounded = { ...callee, name: 'bounded' };
  const orders: IdempotentInterface = { methods: ['PUT'], pathPrefix: '/orders/' };
  const scheme = laneScheme({ baseline: 'base', lanes: [], steering: [] });
  const few: LaneScheme = { ...scheme, maxRequests: 50, retryPercent: 20 };
  let backends: Backends;
  let proxy: Envoy;

  const send = (port: number, spec: Call): Promise<Answer> =>
    call(address, port, { ...spec, headers: { [TAG]: 'dev1' } });
  const run = async (id: string, method: string): Promise<number> => (await backends.counts())[id]?.[method] ?? 0;

  beforeAll(async () => {
    backends = await Backends.start(callee.instances, 'http1');
    const filters = [await fallbackFilter({ lanes: [{ name: 'dev1' }] }), fallbackBridge()];
    const routes = [
      serviceRoutes(again, scheme),
      serviceRoutes(callee, scheme, { idempotent: [orders] }),
      serviceRoutes(bounded, few),
    ];
    proxy = await envoy('fallback-retries', {
      listeners: routes.map((list, index) =>
        listener({ name: `retries${index}`, address, port: PORT + index, filters, routes: list }),
      ),
      clusters: [
        ...serviceClusters(again, scheme),
        ...serviceClusters(callee, scheme),
        ...serviceClusters(bounded, few),
      ],
    });
    for (const index of routes.keys()) await settled(() => send(PORT + index, {}), 'dev1');
  }, 120_000);

  afterAll(async () => {
    await proxy?.stop();
    await backends?.stop();
  });

  it('run a failed POST again where the service says that it may', async () => {
    await backends.set('dev1-0', '503');
    const before = await run('dev1-0', 'POST');
    const answer = await send(PORT, { method: 'POST' });
    expect([answer.status, laneOf(answer.instance)]).toEqual([200, 'base']);
    expect((await run('dev1-0', 'POST')) - before).toBe(1);
  });

  it('run one interface’s requests again and no others', async () => {
    await backends.set('dev1-0', '503');
    const statuses = async (method: string, path: string) => (await send(PORT + 1, { method, path })).status;
    expect(await statuses('PUT', '/orders/7')).toBe(200);
    expect(await statuses('PUT', '/other')).toBe(503);
    expect(await statuses('POST', '/orders/7')).toBe(503);
    expect(await statuses('GET', '/other')).toBe(200);
  });

  it('are no more at a time than the budget, however many fail at once', async () => {
    await backends.set('dev1-0', 'refuse');
    for (const id of ['base-0', 'base-1']) await backends.set(id, 'ok', 1_000);
    const answers = await Promise.all(Array.from({ length: 40 }, () => send(PORT + 2, { method: 'POST' })));
    const refused = answers.filter(({ status }) => status === 503).length;
    const stats = await proxy.admin.stats('cluster.bounded.upstream_rq_retry');
    // All of the burst is there before the first retry has its answer. Once some tries have failed, outlier detection
    // may eject the host, and what comes later reaches the baseline without a retry.
    expect(stats.get('cluster.bounded.upstream_rq_retry')).toBeGreaterThan(0);
    expect(stats.get('cluster.bounded.upstream_rq_retry')).toBeLessThanOrEqual((50 * 20) / 100);
    expect(stats.get('cluster.bounded.upstream_rq_retry_overflow')).toBe(refused);
    expect(answers.filter(({ status }) => status === 200).length).toBe(40 - refused);
  });
});

describe('the callee’s sidecar', () => {
  const second = 87;
  const inboundPort = 9080;
  const reviews = service('reviews', second, { dev1: 1, base: 1 }, { intervalMs: 60_000 });
  const scheme = laneScheme({ baseline: 'base', lanes: LANES, steering: [] });
  const applications = reviews.instances.map((instance) => ({ ...instance, ports: { inbound: 9081 } }));
  const started: { stop(): Promise<void> }[] = [];

  afterAll(async () => {
    for (const one of started.reverse()) await one.stop();
  });

  /** The inbound side of one instance's sidecar. */
  async function sidecar(id: string, redirects: object[], unit: string): Promise<Envoy> {
    const instance = reviews.instances.find((candidate) => candidate.id === id);
    const endpoint = { address: { socket_address: { address: instance?.address, port_value: 9081 } } };
    const application = {
      name: 'application',
      type: 'STATIC',
      load_assignment: { cluster_name: 'application', endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    };
    return envoy(`sidecar-${id}`, {
      listeners: [
        listener({
          name: 'inbound',
          address: instance?.address ?? '',
          port: inboundPort,
          filters: [await fallbackFilter({ direction: 'inbound', redirects })],
          routes: [...redirectRoutes('reviews', [unit], TIMEOUT_MS), applicationRoute('application', TIMEOUT_MS)],
          manager: { local_reply_config: unreachedReply() },
        }),
      ],
      clusters: [application, unitCluster(reviews, unit, scheme)],
    });
  }

  it('lets a POST go elsewhere that its application cannot have seen, forwards units one hop, and answers a loop 508', async () => {
    const backends = await Backends.start(applications, 'http1');
    started.push({ stop: () => backends.stop() });
    const move = { name: 'v2', match: { path: { prefix: '/v2/' } }, to: 'base' };
    const back = { name: 'loop', match: { path: { prefix: '/v2/loop' } }, to: 'dev1' };
    started.push(await sidecar('dev1-0', [move], 'base'), await sidecar('base-0', [back], 'dev1'));
    const address = `127.${second}.0.1`;
    const proxy = await caller('fallback-unreached', address, reviews);
    started.push(proxy);
    const send = (path: string, method = 'POST') =>
      call(address, PORT, { method, path, host: 'reviews:9080', headers: { [TAG]: 'dev1' } });

    await settled(() => send('/v1/x'), 'dev1');
    const moved = await send('/v2/x');
    expect(moved.instance).toBe('base-0');
    expect(Object.keys(moved.seen).filter((name) => name.startsWith('x-causeway'))).toEqual([]);
    expect(moved.headers[SERVED], 'the caller sees the instance that it called').toBe('dev1');
    const looped = await send('/v2/loop');
    expect(looped.status).toBe(508);

    await backends.set('dev1-0', 'refuse');
    const before = (await backends.counts())['base-0']?.POST ?? 0;
    for (let n = 0; n < 20; n++) {
      const answer = await send('/v1/x');
      expect([answer.status, answer.instance]).toEqual([200, 'base-0']);
      expect(answer.headers['x-causeway-unreached']).toBeUndefined();
    }
    expect(((await backends.counts())['base-0']?.POST ?? 0) - before).toBe(20);
  }, 120_000);
});

describe('the example', () => {
  it('is what the builders make', () => {
    expect(parse(readFileSync(EXAMPLE, 'utf8')), 'stale: run example.ts').toEqual(parse(example()));
  });
});
