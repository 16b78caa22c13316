/**
 * What every filter does, in every protocol that a service may speak (http1, WebSocket and streaming, http2, grpc): one mesh with
 * all of them, on real Envoys.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isolateInstance, releaseInstance } from '../../harness/config/edit-isolation.ts';
import { setTls } from '../../harness/config/edit-tls.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { IsolationStage } from '../isolation/stage.ts';
import { KINDS, type Kind, type Reply } from '../protocols/calls.ts';

const NETWORK = '127.90';
const TAG = 'x-asm-traffic-lane';
const COMMAND = `command: [${process.execPath}, ${join(import.meta.dirname, '../protocols/app.mjs')}]`;

/** The service that speaks a protocol: each has its own, so that what one protocol does to its hosts is no other's business. */
const serviceOf = ({ name }: Kind): string => name.toLowerCase().replace('/', '');
const service = (kind: Kind): string => `
  ${serviceOf(kind)}:
    ${COMMAND}
    protocol: ${kind.protocol}
    entrance: true
    calls: []
    healing: true
    overload: {}
    interfaces: [{ name: limited, template: /limited }, { name: dropped, template: /dropped }]
    limits: { interfaces: { limited: 1 } }
    instances: { base: { replicas: 2 }, dev1: {} }`;
const MESH = `mesh: protocols
gateways: [{ name: gateway, routes: [{ prefix: /, service: front }] }]
isolation: { drainSeconds: 1 }
tls: { idleTimeout: 1s }
degradation: { drops: [{ name: sale, interface: dropped, percent: 100 }] }
lanes: { dev1: {}, dev2: {} }
rules:
${KINDS.flatMap((kind) => ['dev1', 'dev2'].map((lane) => `  - { name: ${serviceOf(kind)}-${lane}, at: sidecar, entrance: ${serviceOf(kind)}, lane: ${lane}, match: { header: { name: end-user, exact: ${lane} } } }`)).join('\n')}
services:
  front: { ${COMMAND}, entrance: true, instances: { base: {} } }${KINDS.map(service).join('')}
`;

let stage: IsolationStage;
let trace = 0;

/** As the application of `front` calls a service through its sidecar, under a trace of its own. */
function call(
  kind: Kind,
  path = '/',
  headers: Readonly<Record<string, string>> = {},
  options: CallOptions = {},
): Promise<Reply> {
  const { address, ports } = stage.instance('front-base-1');
  const target = { address, port: ports.outbound, host: options.service ?? serviceOf(kind) };
  return kind.call(target, path, { 'x-request-id': `trace-${trace++}`, ...headers }, options.method);
}

interface CallOptions {
  readonly service?: string;
  /** Of kinds that have a choice: HTTP/1. */
  readonly method?: string;
}

/** So many calls, a few at a time: more at once would be an overload. */
async function calls(kind: Kind, count: number, path?: string, options?: CallOptions): Promise<Reply[]> {
  const replies: Reply[] = [];
  while (replies.length < count) {
    replies.push(...(await Promise.all(Array.from({ length: 4 }, () => call(kind, path, {}, options)))));
  }
  return replies;
}

/** Rounds of calls until one is as it should be. */
function settled(
  what: string,
  round: () => Promise<readonly Reply[]>,
  good: (replies: readonly Reply[]) => boolean,
): Promise<void> {
  return waitUntil(
    what,
    async () => {
      const replies = await round();
      return good(replies) ? found(undefined) : notYet(JSON.stringify([outcomes(replies), hosts(replies)]));
    },
    { deadlineMs: 15_000, intervalMs: 50 },
  );
}

/** A counter waits in the filter for up to a second. */
const POLL = { timeout: 5_000 };
const outcomes = (replies: readonly Reply[]): string[] => [...new Set(replies.map(({ outcome }) => outcome))].sort();
const hosts = (replies: readonly Reply[]): string[] =>
  [...new Set(replies.map(({ instance }) => instance))].filter((instance) => instance !== '').sort();
const counted = (id: string, event: string): Promise<number> => stage.counted(id, `wasmcustom.causeway_${event}`);

beforeAll(async () => {
  stage = await IsolationStage.open(NETWORK, MESH);
}, 120_000);

afterAll(() => stage?.close());

describe.each(KINDS)('$name', { timeout: 60_000 }, (kind) => {
  const name = serviceOf(kind);
  const base = [`${name}-base-1`, `${name}-base-2`];

  it('lane-tagging: a rule leads into the lane', async () => {
    expect(await call(kind, '/', { 'end-user': 'dev1' })).toEqual({ outcome: 'ok', instance: `${name}-dev1-1` });
    const others = await calls(kind, 10);
    expect([outcomes(others), hosts(others)]).toEqual([['ok'], base]);
  });

  it('lane-fallback: a lane without an instance is served by the baseline', async () => {
    const { outcome, instance } = await call(kind, '/', { 'end-user': 'dev2' });
    expect([outcome, base.includes(instance)]).toEqual(['ok', true]);
  });

  it('trace-propagation: a call that arrives with a tag teaches it, a call that leaves with its trace gets it', async () => {
    const { address, ports } = stage.instance('front-base-1');
    const arrives = { address, port: ports.inbound, host: 'front' };
    const id = { 'x-request-id': `taught-${name}` };
    // front speaks HTTP/1: by HTTP/2 its sidecar is called, which translates.
    expect((await kind.call(arrives, '/', { ...id, [TAG]: 'dev1' })).instance).toBe('front-base-1');
    expect((await call(kind, '/', id)).instance).toBe(`${name}-dev1-1`);
  });

  it('adaptive-rate-limit: what is over the limit is refused', async () => {
    const replies = await calls(kind, 20, '/limited');
    expect(outcomes(replies)).toEqual([kind.name === 'gRPC' ? 'grpc 8' : '429', 'ok']);
    expect(replies.filter(({ outcome }) => outcome === 'ok').length).toBeLessThanOrEqual(6);
  });

  it('degradation: what is dropped does not reach the service', async () => {
    const replies = await calls(kind, 5, '/dropped');
    expect([outcomes(replies), hosts(replies)]).toEqual([[kind.name === 'gRPC' ? 'grpc 14' : '503'], []]);
  });

  it('isolation: callers go to the other instance, and nothing that may be repeated fails', async () => {
    await stage.apply(isolateInstance(stage.deployment.text, `${name}-base-1`));
    try {
      const { address, ports } = stage.instance(`${name}-base-1`);
      const straight = await kind.call({ address, port: ports.inbound, host: name }, '/', {});
      expect(straight).toEqual({ outcome: kind.name === 'gRPC' ? 'grpc 14' : '503', instance: '' });
      const elsewhere = (replies: readonly Reply[]): boolean =>
        outcomes(replies).join() === 'ok' && hosts(replies).join() === `${name}-base-2`;
      expect(elsewhere(await calls(kind, 20))).toBe(true);
    } finally {
      await stage.apply(releaseInstance(stage.deployment.text, `${name}-base-1`));
    }
    await settled(
      'both instances',
      () => calls(kind, 20),
      (replies) => hosts(replies).join() === base.join(),
    );
  });

  it('connection-elimination: with TLS on, every call goes by it', async () => {
    const pool = (): Promise<number> => stage.counted('front-base-1', `^cluster\\.${name}_tls.*upstream_rq_total$`);
    const plain = (): Promise<number> =>
      stage.counted('front-base-1', `^cluster\\.${name}_(baseline|lanes|first).*upstream_rq_total$`);
    await stage.apply(setTls(stage.deployment.text, name, 'on'));
    const [tlsBefore, plainBefore] = [await pool(), await plain()];
    const replies = await calls(kind, 20);
    expect(outcomes(replies)).toEqual(['ok']);
    expect(await pool()).toBeGreaterThanOrEqual(tlsBefore + 20);
    expect(await plain()).toBe(plainBefore);
    await stage.apply(setTls(stage.deployment.text, name, 'off'));
  });

  // A WebSocket's handshake is a GET, which the route repeats elsewhere: no filter sees the failure.
  if (kind.name !== 'WebSocket') {
    it('outlier-blacklist: an instance that fails is kept away from', async () => {
      const good = (replies: readonly Reply[]): boolean => outcomes(replies).join() === 'ok';
      await settled('a round without it', () => calls(kind, 20, '/bad', { method: 'POST' }), good);
      await expect
        .poll(() => counted('front-base-1', `outlier_blacklist_listed_total.*${name}`), POLL)
        .toBeGreaterThan(0);
    });
  }

  it('overload-shedding: while an instance cannot hold what comes, some of it is refused', async () => {
    const [plain = kind] = KINDS;
    const flood = Array.from({ length: 250 }, () => call(plain, '/slow', {}, { service: name }));
    const refusals: string[] = [];
    const refused = kind.name === 'gRPC' ? 'grpc 8' : '503';
    await waitUntil(
      'a refusal',
      async () => {
        refusals.push((await call(kind)).outcome);
        return refusals.includes(refused) ? found(undefined) : notYet(refusals.join());
      },
      { deadlineMs: 5_000, intervalMs: 5 },
    );
    expect(refusals.filter((outcome) => outcome !== 'ok' && outcome !== refused)).toEqual([]);
    await Promise.all(flood);
    await expect
      .poll(
        async () => Math.max(...(await Promise.all(base.map((id) => counted(id, 'overload_shedding_refused'))))),
        POLL,
      )
      .toBeGreaterThan(0);
  });
});
