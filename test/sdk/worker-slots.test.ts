import { expect, test } from 'vitest';
import { EmulatedHost, Status, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const SLOTS = 64;
const TICK_MS = 1000;

async function start(): Promise<EmulatedHost> {
  return await EmulatedHost.load(await compilePlugin('test/plugins/slots.ts'), { record: false });
}

function workers(host: EmulatedHost, count: number): Vm[] {
  return Array.from({ length: count }, () => host.vm({ rootId: 'slots' }));
}

/** Slot that each VM said last. */
function slots(host: EmulatedHost): Record<string, string> {
  return Object.fromEntries(host.logs.map(({ vm, message }) => [vm, message]));
}

test('workers get slots of their own and keep them', async () => {
  const host = await start();
  workers(host, 8);
  host.clock.advance(TICK_MS);
  expect(Object.values(slots(host)).sort()).toEqual(Array.from({ length: 8 }, (_, i) => `slot ${i}`));
  const first = host.messages().length;
  host.clock.advance(100 * TICK_MS);
  expect(host.messages().length).toBe(first);
});

test('the keys in shared data are as many as slots, whatever happens', async () => {
  const host = await start();
  workers(host, 3);
  host.clock.advance(10 * TICK_MS);
  expect(host.sharedData.keys('causeway')).toHaveLength(SLOTS);
});

test('a worker beyond the last slot gets none, and one when a lease ends', async () => {
  const host = await start();
  const all = workers(host, SLOTS + 1);
  host.clock.advance(TICK_MS);
  const said = Object.values(slots(host));
  expect(said.filter((line) => line === 'slot -1')).toHaveLength(1);
  expect(new Set(said).size).toBe(SLOTS + 1);
  all[5]?.shutdown();
  host.clock.advance(2 * TICK_MS);
  expect(slots(host)[`vm${SLOTS + 1}`]).toBe('slot -1');
  host.clock.advance(3 * TICK_MS);
  expect(slots(host)[`vm${SLOTS + 1}`]).toBe('slot 5');
});

test('a worker that loses its slot to another one takes a new one', async () => {
  const host = await start();
  workers(host, 2);
  host.clock.advance(TICK_MS);
  const thief = '\x01\x02\x03\x04\x05\x06\x07\x08';
  const now = Buffer.alloc(8);
  now.writeBigUInt64LE(host.clock.now + 1_000_000n);
  host.sharedData.set('causeway', 'v1/worker#0', thief + now.toString('latin1'), 0);
  host.clock.advance(TICK_MS);
  expect(slots(host)).toEqual({ vm1: 'slot 2', vm2: 'slot 1' });
});

test('losing every race leaves a worker without a slot until it wins one', async () => {
  const host = await start();
  workers(host, 1);
  host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch, times: SLOTS });
  host.clock.advance(TICK_MS);
  expect(slots(host)).toEqual({ vm1: 'slot -1' });
  host.clock.advance(TICK_MS);
  expect(slots(host)).toEqual({ vm1: 'slot 0' });
});

test('a lease from the future does not last for ever', async () => {
  const host = await start();
  const future = Buffer.alloc(16, 1);
  future.writeBigUInt64LE(host.clock.now * 2n, 8);
  for (let i = 0; i < SLOTS; i++) host.sharedData.set('causeway', `v1/worker#${i}`, future.toString('latin1'), 0);
  workers(host, 1);
  host.clock.advance(TICK_MS);
  expect(slots(host)).toEqual({ vm1: 'slot 0' });
});
