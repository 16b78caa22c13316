import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { fallbackBridge, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Backends } from '../bench/fallback-retry/backends.ts';
import { type Answer, type Call, call, envoy, listener, service } from '../bench/fallback-retry/rig.ts';
import { fallbackFilter } from '../bench/fallback-retry/wasm.ts';
import { laneOf, PORT, TAG } from './fallback-caller.ts';

/** Steering rules on a real Envoy: what the emulator shows of the list is here what serves. */

const ADDRESS = '127.89.0.1';
const reviews = service('reviews', 89, { GROUP_1: 1, GROUP_2: 1, unit2: 1, base: 3 }, { intervalMs: 250 });
const steering = [
  { name: 'pin', match: { header: { name: 'x-load-test', exact: '1' } }, to: [{ instance: 'base-1' }] },
  { name: 'group', match: { header: { name: 'type', exact: 'transfer' } }, to: [{ lanes: ['GROUP_2', 'GROUP_1'] }] },
  { name: 'interface', match: { path: { prefix: '/v2/' } }, to: [{ lanes: ['unit2', 'base'] }] },
  { name: 'fifth', lanes: ['base'], percent: 20, to: [{ lanes: ['unit2', 'base'] }] },
];
const scheme = laneScheme({
  baseline: 'base',
  lanes: [],
  steering: [
    { to: [{ weight: 1, target: { instance: 'base-1' } }] },
    { to: [{ weight: 1, target: { lanes: ['GROUP_2', 'GROUP_1'] } }] },
  ],
});

let backends: Backends;
let proxy: Envoy;

const send = (headers: Record<string, string>, spec: Call = {}): Promise<Answer> =>
  call(ADDRESS, PORT, { ...spec, headers });

/** Until the next answer comes from `instance`; empty: until there is none. */
const until = (instance: string, headers: Record<string, string>): Promise<void> =>
  waitUntil(
    `${instance || 'nobody'} answers`,
    async () => {
      const answer = await send(headers);
      return answer.instance === instance ? found(undefined) : notYet(`${answer.status} ${answer.instance}`);
    },
    { deadlineMs: 20_000 },
  );

beforeAll(async () => {
  backends = await Backends.start(reviews.instances, 'http1');
  proxy = await envoy('fallback-steering', {
    listeners: [
      listener({
        name: 'outbound',
        address: ADDRESS,
        port: PORT,
        filters: [await fallbackFilter({ stages: scheme.stages, steering }), fallbackBridge()],
        routes: serviceRoutes(reviews, scheme),
      }),
    ],
    clusters: serviceClusters(reviews, scheme),
  });
}, 120_000);

afterAll(async () => {
  await proxy?.stop();
  await backends?.stop();
});

const LOAD_TEST = { 'x-load-test': '1' };
const TRANSFER = { type: 'transfer' };

beforeEach(async () => {
  for (const { id } of reviews.instances) await backends.set(id, 'ok');
  await until('base-1', LOAD_TEST);
  await until('GROUP_2-0', TRANSFER);
});

describe('steering', () => {
  it('sends everything to one machine, and to the baseline when that is not usable', async () => {
    for (let n = 0; n < 20; n++) expect((await send({ ...LOAD_TEST, [TAG]: 'unit2' })).instance).toBe('base-1');
    await backends.set('base-1', 'sick');
    await waitUntil(
      'the pinned machine is passed over',
      async () => ((await send(LOAD_TEST)).instance !== 'base-1' ? found(undefined) : notYet('still pinned')),
      { deadlineMs: 10_000 },
    );
    for (let n = 0; n < 20; n++) expect((await send(LOAD_TEST)).instance).toMatch(/^base-[02]$/);
  });

  it('takes a group’s traffic to the other group when it is down, and nowhere else', async () => {
    await backends.set('GROUP_2-0', 'refuse');
    for (let n = 0; n < 20; n++) {
      expect((await send(TRANSFER, { method: 'POST' })).instance).toBe('GROUP_1-0');
    }
    await backends.set('GROUP_1-0', 'refuse');
    for (let n = 0; n < 10; n++) expect((await send(TRANSFER, { method: 'POST' })).status).toBe(503);
  });

  it('moves an interface, and a share of traces that stays the same', async () => {
    expect((await send({}, { path: '/v2/x' })).instance).toBe('unit2-0');
    const lanes = async (): Promise<string[]> => {
      const seen: string[] = [];
      for (let n = 0; n < 200; n++) seen.push(laneOf((await send({ 'x-request-id': `trace-${n}` })).instance));
      return seen;
    };
    const first = await lanes();
    expect(await lanes()).toEqual(first);
    const moved = first.filter((lane) => lane === 'unit2').length;
    expect(moved).toBeGreaterThan(20);
    expect(moved).toBeLessThan(65);
    expect(first.filter((lane) => lane === 'base').length).toBe(200 - moved);
  });
});
