import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { found, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import { issueSecrets } from '../../harness/tls/secrets.ts';
import { TlsStage } from '../tls/stage.ts';
import { temporaryState } from './support.ts';

const CONNECTIONS = 16;

let stage: TlsStage;
let remove: () => Promise<void>;

beforeAll(async () => {
  const temporary = await temporaryState();
  remove = temporary.remove;
  stage = await TlsStage.open(
    temporary.state,
    '127.83',
    [
      '  one: { APP, instances: { base: { replicas: 2 } } }',
      '  two: { APP, protocol: http2, instances: { base: { replicas: 2 } } }',
      '  both: { APP, tls: { mode: off, pools: one }, instances: { base: {} } }',
      '  young: { APP, tls: { mode: canary, percent: 100 }, instances: { base: {} } }',
      '  late: { APP, instances: { base: {} } }',
    ].join('\n'),
  );
}, 240_000);

afterAll(async () => {
  await stage?.close();
  await remove?.();
});

const settle = () => realClock.sleep(1_000);

/** Until the pool that takes no requests any more has no connection left. */
function empty(service: string, pool: 'plain' | 'tls'): Promise<void> {
  return waitUntil(
    `${service}: no ${pool} connection left`,
    async () => {
      const { connections } = (await stage.pools(service))[pool];
      return connections === 0 ? found(undefined) : notYet(`${connections} connections`);
    },
    // The idle time of this mesh is 2 s.
    { deadlineMs: 4_000 },
  );
}

describe.each([
  ['HTTP/1', 'one'],
  ['HTTP/2', 'two'],
] as const)('on, off and on again over %s', (_protocol, service) => {
  it('fails no request, moves every new one within a second and empties the old pool', {
    timeout: 120_000,
  }, async () => {
    const report = await stage.under(service, CONNECTIONS, async () => {
      await settle();
      for (const mode of ['on', 'off', 'on'] as const) {
        const [expected, other] = mode === 'on' ? (['tls', 'plain'] as const) : (['plain', 'tls'] as const);
        await stage.set(service, mode);
        await settle();
        const before = await stage.pools(service);
        await settle();
        const after = await stage.pools(service);
        expect(after[other].requests, `${mode}: ${other} requests a second later`).toBe(before[other].requests);
        expect(after[expected].requests).toBeGreaterThan(before[expected].requests);
        await empty(service, other);
      }
    });
    expect(report.failures).toEqual({});
    expect(report.sent).toBeGreaterThan(500);
    expect((await stage.pools(service)).destroyedWithRequests).toBe(0);
    expect(await stage.counter(`mismatch_total.service.${service}`)).toBe(0);
  });
});

describe('one cluster for both states', () => {
  it('retires each old connection once, and fails no request', { timeout: 120_000 }, async () => {
    const retired = () => stage.counter('retired_total');
    const report = await stage.under('both', CONNECTIONS, async () => {
      for (const mode of ['on', 'off', 'on'] as const) {
        await settle();
        const [before, connections] = [await retired(), (await stage.pools('both')).plain.connections];
        await stage.set('both', mode);
        await waitUntil(
          `${connections} connections retired`,
          async () => {
            const now = (await retired()) - before;
            return now >= connections ? found(undefined) : notYet(`${now} of ${connections}`);
          },
          { deadlineMs: 5_000 },
        );
        await settle();
        expect((await retired()) - before).toBe(connections);
      }
    });
    expect(report.failures).toEqual({});
    const mismatched = await stage.counter('mismatch_total.service.both');
    expect(mismatched).toBeGreaterThan(0);
    await stage.under('both', CONNECTIONS, settle);
    await realClock.sleep(1_100);
    expect(await stage.counter('mismatch_total.service.both'), 'all are in the wanted state by now').toBe(mismatched);
    expect((await stage.pools('both')).destroyedWithRequests).toBe(0);
  });
});

describe('certificates', () => {
  it('are renewed under load without a failed request', { timeout: 120_000 }, async () => {
    const updates = () => stage.sum(/ssl_context_update_by_sds$/);
    await stage.set('one', 'on');
    const before = await updates();
    const report = await stage.under('one', CONNECTIONS, async () => {
      for (let n = 0; n < 4; n++) {
        await issueSecrets(stage.mesh, stage.state, { all: true });
        await settle();
      }
    });
    expect(report.failures).toEqual({});
    expect(await updates()).toBeGreaterThan(before);
  });
});

/** Listens in the place of an instance's sidecar, which has been killed; what connections begin with is kept. */
async function inPlaceOf(
  id: string,
  handle: (socket: Socket, first: Buffer) => void,
): Promise<{ server: Server; hellos: Buffer[] }> {
  const { address, ports } = stage.instance(id);
  await stage.driver.kill(id, 'sidecar');
  const hellos: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (first) => {
      hellos.push(first);
      handle(socket, first);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(ports.inbound, address, resolve);
  });
  return { server, hellos };
}

const TLS_HANDSHAKE = 0x16;

describe('a man in the middle', () => {
  it('who resets every handshake gets no plaintext byte at `on`', { timeout: 120_000 }, async () => {
    await stage.set('late', 'on');
    expect(await stage.call('late')).toBe(200);
    const { server, hellos } = await inPlaceOf('late-base-1', (socket) => socket.resetAndDestroy());
    const answers = new Set<number>();
    const end = performance.now() + 4_000;
    while (performance.now() < end) answers.add(await stage.call('late'));
    server.close();
    expect([...answers]).toEqual([503]);
    expect(hellos.length).toBeGreaterThan(10);
    expect(hellos.filter((first) => first[0] !== TLS_HANDSHAKE).map((first) => first.toString('latin1'))).toEqual([]);
    await realClock.sleep(1_100);
    expect(await stage.counter('returned_total.service.late')).toBe(0);
    await stage.driver.revive('late-base-1');
  });

  it('finds a canary that never worked going back to plain, counted', { timeout: 120_000 }, async () => {
    const { address, ports } = stage.instance('young-base-1');
    await stage.driver.kill('young-base-1', 'sidecar');
    const server = createHttpServer((_request, response) => response.end('plain'));
    await new Promise<void>((resolve) => server.listen(ports.inbound, address, resolve));
    expect(await stage.call('young'), 'the call that finds out').toBe(503);
    expect(await stage.call('young')).toBe(200);
    await realClock.sleep(1_100);
    expect(await stage.counter('returned_total.service.young')).toBe(1);
    expect(await stage.counter('handshake_failed_total.service.young')).toBe(1);
    server.closeAllConnections();
    server.close();
    await stage.driver.revive('young-base-1');
  });
});

describe('a switch that cannot work', () => {
  it('is not made: a proxy that cannot complete TLS is named, and the calls go on in plaintext', {
    timeout: 120_000,
  }, async () => {
    await stage.set('late', 'off');
    const { server } = await inPlaceOf('late-base-1', (socket) => socket.resetAndDestroy());
    await waitUntil(
      'health checks by TLS fail',
      async () => {
        const hosts = await stage.admin().hosts('late.tls.lanes');
        return hosts.some(({ unhealthy }) => unhealthy.length > 0) ? found(undefined) : notYet('none yet');
      },
      { deadlineMs: 10_000 },
    );
    await expect(stage.set('late', 'on')).rejects.toThrow(
      /late reached by TLS[\s\S]*late\.tls\.\w+ 127\.83\.6\.1:9080/,
    );
    server.close();
    await stage.driver.revive('late-base-1');
    await waitUntil(
      'late answers',
      async () => ((await stage.call('late')) === 200 ? found(undefined) : notYet('503')),
      { deadlineMs: 10_000 },
    );
    const { plain, tls } = await stage.pools('late');
    expect(await stage.call('late')).toBe(200);
    const after = await stage.pools('late');
    expect([after.plain.requests - plain.requests, after.tls.requests - tls.requests]).toEqual([1, 0]);
  });
});
