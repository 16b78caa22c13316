import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isolateInstance, releaseInstance } from '../../harness/config/edit-isolation.ts';
import { found, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import { IsolationStage, STREAMING } from '../isolation/stage.ts';
import { warmUpOf } from '../isolation/warm-up.ts';
import { scaled } from '../support/scale.ts';
import { ask } from './support.ts';

/** Milliseconds of the warm-up; full size is the default of two minutes. */
const WARM_UP = scaled(120_000, 6_000);
const NETWORK = '127.69';
const TEXT = `mesh: lossless
isolation: { drainSeconds: 1 }
lossless: { warmUp: 0s, edas: true }
concurrency: 2
gateways: [{ name: gateway, routes: [{ prefix: /, service: ratings }, { prefix: /stream, service: flow }] }]
services:
  ratings: { instances: { base: { replicas: 3 } } }
  flow: { ${STREAMING}, instances: { base: { replicas: 2 } } }
`;

let stage: IsolationStage;

beforeAll(async () => {
  stage = await IsolationStage.open(NETWORK, TEXT);
}, 120_000);

afterAll(() => stage?.close());

/** An order on the loopback of an instance. */
const order = (id: string, path: string, port = 15015) => stage.straight(id, path, port);

const settles = (what: string, look: () => Promise<boolean>) =>
  waitUntil(what, async () => ((await look()) ? found(undefined) : notYet('not yet')), { deadlineMs: 10_000 });

describe('offline', { timeout: 60_000 }, () => {
  it.each([
    ['ratings-base-1', 15015, '/causeway/offline', '/causeway/online'],
    ['ratings-base-2', 54199, '/offline', '/online'],
  ])('%s is told on loopback, port %d: its callers go elsewhere at once', async (id, port, offline, online) => {
    const answer = await order(id, offline, port);
    expect([answer.status, answer.text]).toEqual([200, 'offline\n']);
    await realClock.sleep(150);
    const { status, headers } = await stage.straight(id);
    expect(status).toBe(503);
    expect(headers).toMatchObject({ 'x-causeway-isolated': '1', 'x-envoy-immediate-health-check-fail': 'true' });
    for (let n = 0; n < 12; n++) {
      const { status, hop } = await ask(`${stage.gateway}/ratings/1`, {}, { method: 'POST', body: '{}' });
      expect([status, hop?.instance === id]).toEqual([200, false]);
    }
    expect((await order(id, online, port)).text).toBe('online\n');
    await settles('it serves again', async () => (await stage.straight(id)).status === 200);
  });

  it('cannot be told where calls come in, nor through the gateway', async () => {
    for (const path of ['/causeway/offline', '/offline']) {
      expect((await stage.straight('ratings-base-1', path)).status).toBe(404);
      expect((await ask(`${stage.gateway}${path}`)).status).toBe(404);
    }
    await realClock.sleep(150);
    expect((await stage.straight('ratings-base-1')).status).toBe(200);
  });
});

describe('a stream that flows', { timeout: 60_000 }, () => {
  /** Opens one, and says when it ends and by how many bytes. */
  async function open() {
    const answer = await fetch(`${stage.gateway}/stream`);
    const reader = answer.body?.getReader();
    if (!reader) throw new Error('no body');
    const first = Buffer.from((await reader.read()).value ?? []).toString();
    const ended = (async () => {
      const start = performance.now();
      try {
        while (!(await reader.read()).done);
      } catch {
        return performance.now() - start;
      }
      return performance.now() - start;
    })();
    return { instance: first.split('\n')[0] ?? '', ended };
  }

  it('has its drain time when its instance is isolated, then it is reset and counted', async () => {
    const stream = await open();
    const before = await stage.counted(stream.instance, 'causeway_isolation_reset_total');
    await stage.apply(isolateInstance(TEXT, stream.instance));
    const took = await stream.ended;
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(4_000);
    await settles(
      'the reset counted',
      async () => (await stage.counted(stream.instance, 'causeway_isolation_reset_total')) === before + 1,
    );
    await stage.apply(releaseInstance(stage.deployment.text, stream.instance));
  });
});

describe('a rolling restart', { timeout: 120_000 }, () => {
  it('of every instance of a service under load fails no request and runs none twice', async () => {
    const ids = ['ratings-base-1', 'ratings-base-2', 'ratings-base-3'];
    const pids = async () => (await stage.driver.status()).map(({ app, sidecar }) => [app.pid, sidecar.pid]);
    const before = await pids();
    const report = await stage.under(100, () => stage.deployment.restart(ids));
    expect(report.failures).toEqual({});
    expect(report.kinds.POST?.sent ?? 0).toBeGreaterThan(30);
    const posts = await stage.posts();
    expect([...posts].filter(([, begun]) => begun !== 1)).toEqual([]);
    const after = await pids();
    const same = after.flat().filter((pid) => pid !== undefined && before.flat().includes(pid));
    // The gateway and the other service have stayed.
    expect(same).toHaveLength(5);
  });
});

describe('a start', { timeout: 60_000 }, () => {
  it('is followed by the delay before the first request', async () => {
    await stage.apply(TEXT.replace('lossless: {', 'lossless: { delaySeconds: 2,'));
    await stage.driver.kill('ratings-base-1', 'both');
    const start = performance.now();
    await stage.driver.revive('ratings-base-1');
    expect((await stage.straight('ratings-base-1')).status).toBe(503);
    await settles('it serves', async () => (await stage.straight('ratings-base-1')).status === 200);
    expect(performance.now() - start).toBeGreaterThan(2_000);
    await stage.apply(TEXT);
  });

  it(`is followed by a warm-up of ${WARM_UP / 1000} s, in a straight line within 5 points`, {
    timeout: WARM_UP * 3 + 60_000,
  }, async () => {
    const id = 'ratings-base-3';
    await stage.apply(TEXT.replace('warmUp: 0s', `warmUp: ${WARM_UP / 1000}s`));
    // The clusters have been replaced, so that all of their hosts have just started: first the others must be grown.
    await realClock.sleep(WARM_UP);
    for (const [window, { share, linear }] of (await warmUpOf(stage, id, WARM_UP)).entries()) {
      expect(Math.abs(share - linear), `window ${window}: ${share}`).toBeLessThan(0.05);
    }
    await stage.apply(TEXT);
  });
});
