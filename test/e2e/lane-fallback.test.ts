import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { healthCheckBoundMs } from '../../envoy-configs/clusters.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type BackendMode, Backends } from '../bench/fallback-retry/backends.ts';
import { type Answer, type Call, call, Http2Client, service } from '../bench/fallback-retry/rig.ts';
import { caller, laneOf, PORT, SERVED, settled, TAG, WANTED } from './fallback-caller.ts';

describe('HTTP/1', () => {
  const address = '127.81.0.1';
  const reviews = service('reviews', 81, { dev1: 1, gold: 1, many: 2, GROUP_2: 1, base: 2 }, { intervalMs: 250 });
  let backends: Backends;
  let proxy: Envoy;

  let sent = 0;
  const send = (lane: string | undefined, spec: Call = {}): Promise<Answer> => {
    sent++;
    return call(address, PORT, {
      ...spec,
      host: 'reviews:9080',
      headers: { ...(lane === undefined ? {} : { [TAG]: lane }), ...spec.headers },
    });
  };
  /** `count` requests one after the other; statuses and lanes seen, as `status lane`, with how often. */
  const tally = async (count: number, lane: string | undefined, spec: Call = {}): Promise<Record<string, number>> => {
    const seen: Record<string, number> = {};
    for (let n = 0; n < count; n++) {
      const answer = await send(lane, spec);
      const key = `${answer.status} ${laneOf(answer.instance)}`.trim();
      seen[key] = (seen[key] ?? 0) + 1;
    }
    return seen;
  };
  const runs = async (method: string): Promise<number> =>
    Object.values(await backends.counts()).reduce((sum, counts) => sum + (counts[method] ?? 0), 0);
  const set = (id: string, mode: BackendMode): Promise<void> => backends.set(id, mode);

  beforeAll(async () => {
    backends = await Backends.start(reviews.instances, 'http1');
    proxy = await caller('fallback-http1', address, reviews);
  }, 120_000);

  afterAll(async () => {
    await proxy?.stop();
    await backends?.stop();
  });

  beforeEach(async () => {
    for (const { id } of reviews.instances) await set(id, 'ok');
    await settled(send, 'dev1', 'gold', 'many', 'GROUP_2', 'base');
  });

  it('serves the wanted lane, and the baseline where it has no instance', async () => {
    expect(await tally(5, 'dev1')).toEqual({ '200 dev1': 5 });
    expect(await tally(5, 'gold')).toEqual({ '200 gold': 5 });
    expect(await tally(5, 'nowhere')).toEqual({ '200 base': 5 });
    expect(await tally(5, undefined)).toEqual({ '200 base': 5 });
    expect(await tally(5, 'transfer')).toEqual({ '200 GROUP_2': 5 });
  });

  it('says on the answer which lane was wanted and which served', async () => {
    const answer = await send('nowhere');
    expect([answer.headers[WANTED], answer.headers[SERVED]]).toEqual(['nowhere', 'base']);
    const own = await send('dev1');
    expect([own.headers[WANTED], own.headers[SERVED]]).toEqual(['dev1', 'dev1']);
  });

  it('leaves no header of its own on the request', async () => {
    for (const lane of ['dev1', 'gold', undefined]) {
      const internal = Object.keys((await send(lane)).seen).filter((name) => name.startsWith('x-causeway'));
      expect(internal).toEqual([]);
    }
  });

  it('falls back from a refused connection at once, whatever the method, and runs nothing twice', async () => {
    await set('dev1-0', 'refuse');
    const before = await runs('POST');
    expect(await tally(50, 'dev1', { method: 'POST' })).toEqual({ '200 base': 50 });
    expect((await runs('POST')) - before).toBe(50);
    expect(await tally(20, 'dev1')).toEqual({ '200 base': 20 });
    await set('dev1-0', 'ok');
    await settled(send, 'dev1');
  });

  it('walks a chain of three through refused connections', async () => {
    await set('GROUP_2-0', 'refuse');
    expect(await tally(20, 'transfer', { method: 'POST' })).toEqual({ '200 base': 20 });
  });

  it('stays in a lane while one of its instances is there', async () => {
    await set('many-0', 'refuse');
    expect(await tally(40, 'many', { method: 'POST' })).toEqual({ '200 many': 40 });
    await set('many-1', 'refuse');
    expect(await tally(40, 'many', { method: 'POST' })).toEqual({ '200 base': 40 });
  });

  it('falls back while the lane fails its health check, and returns', async () => {
    await set('dev1-0', 'sick');
    await waitUntil(
      'the lane is passed over',
      async () => ((await send('dev1')).instance !== 'dev1-0' ? found(undefined) : notYet('still the lane')),
      { deadlineMs: healthCheckBoundMs(reviews.healthCheck) + 2_000 },
    );
    expect(await tally(20, 'dev1', { method: 'POST' })).toEqual({ '200 base': 20 });
    await set('dev1-0', 'ok');
    await settled(send, 'dev1');
    expect(await tally(20, 'dev1')).toEqual({ '200 dev1': 20 });
  });

  it('never serves a strict lane elsewhere', async () => {
    await set('gold-0', 'refuse');
    expect(await tally(20, 'gold')).toEqual({ '503': 20 });
    expect(await tally(20, 'gold', { method: 'POST' })).toEqual({ '503': 20 });
    await set('gold-0', '503');
    await settled(send, 'gold');
    expect(await tally(5, 'gold', { method: 'POST' })).toEqual({ '503 gold': 5 });
  });

  it('sends a request that may have been seen again only where that is harmless', async () => {
    for (const mode of ['503', 'reset'] as const) {
      await set('dev1-0', mode);
      const before = await runs('POST');
      const posts = await tally(20, 'dev1', { method: 'POST' });
      expect((await runs('POST')) - before, mode).toBe(20);
      expect(posts['200 base'] ?? 0, mode).toBe(0);
      expect(await tally(20, 'dev1'), mode).toEqual({ '200 base': 20 });
    }
  });

  it('serves from a baseline whose checks all fail, rather than not at all', async () => {
    for (const id of ['base-0', 'base-1']) await set(id, 'sick');
    await waitUntil(
      'the baseline is unhealthy',
      async () => {
        const base = (await proxy.admin.hosts('reviews.lanes')).filter(({ address }) =>
          address.startsWith('127.81.5.'),
        );
        return base.length === 2 && base.every(({ unhealthy }) => unhealthy.length > 0)
          ? found(undefined)
          : notYet('still healthy');
      },
      { deadlineMs: 10_000 },
    );
    expect(await tally(20, 'dev1')).toEqual({ '200 dev1': 20 });
    expect(await tally(20, undefined, { method: 'POST' })).toEqual({ '200 base': 20 });
  });

  it('counts per edge what the applications say', async () => {
    /** Requests by edge, once every request that was sent is in them: counters are handed over on the tick. */
    const edges = (): Promise<Map<string, number>> =>
      waitUntil(
        `${sent} requests counted`,
        async () => {
          const stats = await proxy.admin.stats('causeway_lane_fallback_requests_total');
          const total = [...stats.values()].reduce((sum, value) => sum + value, 0);
          return total === sent ? found(stats) : notYet(String(total));
        },
        { deadlineMs: 10_000 },
      );
    const before = await edges();
    await set('dev1-0', 'refuse');
    await tally(10, 'dev1', { method: 'POST' });
    await tally(10, 'many');
    await tally(10, undefined);
    await tally(10, 'nowhere');
    const rise: Record<string, number> = {};
    for (const [name, value] of await edges()) {
      const more = value - (before.get(name) ?? 0);
      if (more > 0) rise[name.replace(/^.*_total\./, '')] = more;
    }
    expect(rise).toEqual({
      'service.reviews.wanted.dev1.served.base': 10,
      'service.reviews.wanted.many.served.many': 10,
      'service.reviews.wanted.base.served.base': 10,
      'service.reviews.wanted.other.served.base': 10,
    });
  });
});

describe('a stopped instance', () => {
  it('costs no more than what was in flight until the health check speaks', async () => {
    const address = '127.95.0.1';
    const reviews = service('reviews', 95, { dev1: 1, base: 1 }, { intervalMs: 500, timeoutMs: 1_000 });
    const [dev1, base] = ['dev1', 'base'].map((lane) => reviews.instances.filter((instance) => instance.lane === lane));
    const stopped = await Backends.start(dev1 ?? [], 'http1');
    const steady = await Backends.start(base ?? [], 'http1');
    // A GET that a stopped instance swallowed is tried again after a second, other methods wait for the route's timeout.
    const proxy = await caller('fallback-stopped', address, reviews, { timeoutMs: 6_000, perTryTimeoutMs: 1_000 });
    try {
      const send = (method: string, lane = 'dev1') =>
        call(address, PORT, { method, host: 'reviews:9080', headers: { [TAG]: lane }, timeoutMs: 20_000 });
      await settled((lane) => send('GET', lane), 'dev1', 'base');
      const start = Date.now();
      stopped.signal('SIGSTOP');
      const gets = Array.from({ length: 10 }, () => send('GET'));
      const posts = Array.from({ length: 10 }, () => send('POST'));
      const outcomes = (answers: Answer[]) => [
        ...new Set(answers.map(({ status, instance }) => `${status} ${instance}`)),
      ];
      expect(outcomes(await Promise.all(gets))).toEqual(['200 base-0']);
      const bound = start + healthCheckBoundMs(reviews.healthCheck) - Date.now();
      await new Promise((wake) => setTimeout(wake, Math.max(0, bound)));
      expect(outcomes(await Promise.all(Array.from({ length: 50 }, () => send('POST'))))).toEqual(['200 base-0']);
      expect(outcomes(await Promise.all(posts)), 'in flight, perhaps seen: not sent again').toEqual(['504 ']);
      stopped.signal('SIGCONT');
      await settled((lane) => send('POST', lane), 'dev1');
    } finally {
      await proxy.stop();
      await stopped.stop();
      await steady.stop();
    }
  });
});

describe.each(['http2', 'grpc'] as const)('%s', (protocol) => {
  const second = protocol === 'http2' ? 85 : 86;
  const address = `127.${second}.0.1`;
  const headers = protocol === 'grpc' ? { 'content-type': 'application/grpc', te: 'trailers' } : {};
  const reviews = service('reviews', second, { dev1: 1, gold: 1, base: 1 }, { protocol, intervalMs: 250 });
  let backends: Backends;
  let proxy: Envoy;
  let client: Http2Client;

  const send = (lane: string) =>
    client.call({
      method: 'POST',
      path: '/reviews.Reviews/Get',
      host: 'reviews:9080',
      headers: { ...headers, [TAG]: lane },
    });
  const tally = async (count: number, lane: string): Promise<Record<string, number>> => {
    const answers = await Promise.all(Array.from({ length: count }, () => send(lane)));
    const seen: Record<string, number> = {};
    for (const { status, instance, grpcStatus } of answers) {
      const key = [status, laneOf(instance), grpcStatus].filter((part) => part !== '').join(' ');
      seen[key] = (seen[key] ?? 0) + 1;
    }
    return seen;
  };
  const ok = (lane: string) => (protocol === 'grpc' ? `200 ${lane} 0` : `200 ${lane}`);

  beforeAll(async () => {
    backends = await Backends.start(reviews.instances, protocol);
    proxy = await caller(`fallback-${protocol}`, address, reviews);
    client = new Http2Client(address, PORT);
  }, 120_000);

  afterAll(async () => {
    client?.close();
    await proxy?.stop();
    await backends?.stop();
  });

  it('serves the lane, falls back from a refused connection, and keeps a strict lane strict', async () => {
    await settled(send, 'dev1', 'gold', 'base');
    expect(await tally(20, 'dev1')).toEqual({ [ok('dev1')]: 20 });
    expect(await tally(20, 'nowhere')).toEqual({ [ok('base')]: 20 });
    await backends.set('dev1-0', 'refuse');
    await backends.set('gold-0', 'refuse');
    expect(await tally(50, 'dev1')).toEqual({ [ok('base')]: 50 });
    expect(await tally(20, 'gold')).toEqual({ [protocol === 'grpc' ? '200 14' : '503']: 20 });
  });

  it('does not run a failed call twice', async () => {
    await backends.set('dev1-0', '503');
    await settled(send, 'dev1');
    const before = (await backends.counts())['dev1-0']?.POST ?? 0;
    expect(await tally(20, 'dev1')).toEqual({ [protocol === 'grpc' ? '200 dev1 14' : '503 dev1']: 20 });
    expect(((await backends.counts())['dev1-0']?.POST ?? 0) - before).toBe(20);
  });
});
