import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isolateInstance, releaseInstance } from '../../harness/config/edit-isolation.ts';
import { found, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import { Nats, whyNoNats } from '../isolation/nats.ts';
import { IsolationStage, STREAMING } from '../isolation/stage.ts';

const NETWORK = '127.66';
const BROKER = `${NETWORK}.250.1`;
const PORT = 4222;
const SUBJECT = 'orders';
const IDS = ['consumer-base-1', 'consumer-base-2'] as const;
const TEXT = `mesh: events
isolation: {}
gateways: [{ name: gateway, routes: [{ prefix: /, service: consumer }] }]
services:
  consumer:
    ${STREAMING}
    brokers: [{ name: nats, port: ${PORT}, at: '${BROKER}:${PORT}' }]
    instances: { base: { replicas: 2 } }
`;

let stage: IsolationStage;
let nats: Nats;
let publisher: NatsConnection;
/** The application of each instance, and what it got. */
const consumers: { connection: NatsConnection; got: string[]; changes: string[] }[] = [];

const skipped = whyNoNats() !== null;

beforeAll(async () => {
  if (skipped) return;
  nats = await Nats.start(BROKER, PORT);
  stage = await IsolationStage.open(NETWORK, TEXT);
  publisher = await connect({ servers: `${BROKER}:${PORT}` });
  for (const id of IDS) {
    // The client's ordinary ways, only quicker: it connects again by itself for as long as it takes.
    const connection = await connect({
      servers: `${stage.instance(id).address}:${PORT}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      reconnectJitter: 10,
    });
    const consumer = { connection, got: [] as string[], changes: [] as string[] };
    connection.subscribe(SUBJECT, {
      queue: 'consumers',
      callback: (_error, message) => void consumer.got.push(message.string()),
    });
    void (async () => {
      for await (const { type } of connection.status()) consumer.changes.push(type);
    })();
    await connection.flush();
    consumers.push(consumer);
  }
}, 120_000);

afterAll(async () => {
  for (const { connection } of consumers) await connection.close();
  await publisher?.close();
  await stage?.close();
  await nats?.stop();
});

const settles = (what: string, look: () => boolean | Promise<boolean>) =>
  waitUntil(what, async () => ((await look()) ? found(undefined) : notYet('not yet')), { deadlineMs: 10_000 });

/** Publishes and says how many each consumer got of it. */
async function publish(count: number): Promise<readonly number[]> {
  const before = consumers.map(({ got }) => got.length);
  for (let n = 0; n < count; n++) publisher.publish(SUBJECT, `${n}`);
  await publisher.flush();
  const news = () => consumers.map(({ got }, at) => got.length - (before[at] ?? 0));
  await settles('every message got by somebody', () => news().reduce((sum, one) => sum + one, 0) === count);
  return news();
}

describe.skipIf(skipped)('events of a real broker', { timeout: 60_000 }, () => {
  it('reach every instance', async () => {
    const [one = 0, other = 0] = await publish(200);
    expect(one).toBeGreaterThan(20);
    expect(other).toBeGreaterThan(20);
    expect(await stage.counted(IDS[0], 'causeway_event_isolation_closed_total')).toBe(0);
  });

  it('do not reach an isolated one, which connects again and again; the others get them all', async () => {
    await stage.apply(isolateInstance(TEXT, IDS[0]));
    await settles('the connection closed', () => consumers[0]?.changes.includes('disconnect') ?? false);
    expect(await publish(200)).toEqual([0, 200]);
    await settles('new ones refused', async () => {
      return (await stage.counted(IDS[0], 'causeway_event_isolation_refused_total')) > 3;
    });
    expect(await stage.counted(IDS[0], 'causeway_event_isolation_closed_total')).toBe(1);
    expect(await stage.counted(IDS[0], 'cluster.causeway_broker_nats.upstream_cx_active')).toBe(0);
    expect(await stage.counted(IDS[1], 'causeway_event_isolation_(closed|refused)_total')).toBe(0);
    expect(consumers[1]?.changes).not.toContain('disconnect');
  });

  it('reach it again when it is released: its client has come back by itself', async () => {
    await stage.apply(releaseInstance(stage.deployment.text, IDS[0]));
    await settles('connected again', () => consumers[0]?.changes.includes('reconnect') ?? false);
    await consumers[0]?.connection.flush();
    const [one = 0, other = 0] = await publish(200);
    expect(one).toBeGreaterThan(20);
    expect(other).toBeGreaterThan(20);
  });

  it('stay away from an instance that is offline', async () => {
    await stage.straight(IDS[1], '/causeway/offline', 15015);
    const changes = consumers[1]?.changes ?? [];
    await settles('the connection closed', () => changes.includes('disconnect'));
    expect(await publish(100)).toEqual([100, 0]);
    await stage.straight(IDS[1], '/causeway/online', 15015);
    await settles('connected again', () => changes.includes('reconnect'));
  });

  it('are left alone by a rule', async () => {
    const before = consumers[0]?.changes.length;
    await stage.apply(isolateInstance(TEXT, IDS[0], { path: { prefix: '/' } }));
    await realClock.sleep(300);
    expect(consumers[0]?.changes.length).toBe(before);
    expect((await stage.straight(IDS[0], '/')).status).toBe(503);
    await stage.apply(releaseInstance(stage.deployment.text, IDS[0]));
  });
});
