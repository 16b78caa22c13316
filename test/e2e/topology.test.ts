import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countedSince, type Snapshot } from '../../harness/demo/claims.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Collector } from '../../harness/topology/collector.ts';
import type { Edge, Topology } from '../../harness/topology/model.ts';
import { TopologyServer } from '../../harness/topology/server.ts';
import { bundlePage } from '../../tools/bundle.ts';
import { browserMissing, openBrowser } from '../support/browser.ts';
import { openStory } from './story-stage.ts';

const MESH = `
mesh: bookinfo
baseline: base
gateways:
  - { name: gateway, trust: { cidrs: [127.0.0.0/8] }, routes: [{ prefix: /, service: productpage }] }
services:
  productpage: { entrance: true, calls: [details, reviews], instances: { base: {}, dev1: {} } }
  details: { calls: [], instances: { base: {} } }
  reviews: { calls: [ratings], instances: { base: { version: v2 } } }
  ratings: { calls: [], instances: { base: {}, dev1: {} } }
lanes:
  dev1: {}
  gold: { mode: strict }
rules:
  - { name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }
  - { name: gold-user, entrance: productpage, lane: gold, match: { header: { name: end-user, exact: gold } } }
filters:
  lane-fallback: { settings: { edges: all } }
`;

let stage: Stage;
let close: () => Promise<void>;
let collector: Collector;

beforeAll(async () => {
  ({ stage, close } = await openStory({ network: '127.62', scale: 20, edit: () => MESH }));
  collector = new Collector({ running: () => ({ mesh: stage.mesh, nodes: stage.claimants }) });
});
afterAll(() => close());

const ask = (user: string, times: number) =>
  Promise.all(Array.from({ length: times }, () => stage.ask({ path: '/productpage', headers: { 'end-user': user } })));

const name = ({ from, service, wanted, served }: Edge) => `${from} → ${service} wanted ${wanted} served ${served}`;
const calls = (topology: Topology) => new Map(topology.edges.map((edge) => [name(edge), edge.calls]));

/** Polls until what it sees is so; counters are handed over once a second. */
function seen(what: string, holds: (topology: Topology) => boolean): Promise<Topology> {
  const look = async () => {
    const topology = await collector.poll();
    return topology && holds(topology) ? found(topology) : notYet(JSON.stringify(topology && [...calls(topology)]));
  };
  return waitUntil(what, look, { deadlineMs: 30_000, intervalMs: 500 });
}

/** What the Envoys' own counters say now, summed over the instances of a place, asked past the collector. */
async function counted(): Promise<Map<string, number>> {
  const nothing: Snapshot = new Map();
  const instances = stage.mesh.services.flatMap((service) => service.instances);
  const sums = new Map<string, number>();
  for (const [claim, count] of await countedSince(stage.claimants, nothing, stage.entrance)) {
    const [caller = '', rest = ''] = claim.split(' → ');
    const instance = instances.find(({ id }) => id === caller);
    const key = `${instance ? `${instance.service}/${instance.lane}` : caller} → ${rest}`;
    sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return sums;
}

describe('the graph', () => {
  it('has exactly the calls that were made, as the counters of the Envoys say', async () => {
    await collector.poll();
    const proved = (await Promise.all([ask('nobody', 12), ask('dev1', 7), ask('gold', 5)])).flat();
    const total = proved.reduce((sum, { edges }) => sum + edges.length, 0);
    const topology = await seen(
      'every call',
      ({ edges }) => edges.reduce((sum, edge) => sum + edge.calls, 0) === total,
    );
    expect(calls(topology)).toEqual(await counted());
    expect(Object.fromEntries(calls(topology))).toEqual({
      'gateway → productpage wanted base served base': 12,
      'gateway → productpage wanted dev1 served dev1': 7,
      'gateway → productpage wanted gold served none': 5,
      'productpage/base → details wanted base served base': 12,
      'productpage/base → reviews wanted base served base': 12,
      'productpage/dev1 → details wanted dev1 served base': 7,
      'productpage/dev1 → reviews wanted dev1 served base': 7,
      'reviews/base → ratings wanted base served base': 12,
      'reviews/base → ratings wanted dev1 served dev1': 7,
    });
  });

  it('knows how long calls took, how they ended and which lane stood in', async () => {
    const topology = await seen('times of every edge', ({ edges }) => edges.every(({ p99 }) => p99 !== null));
    for (const edge of topology.edges) {
      expect([name(edge), edge.errorShare]).toEqual([name(edge), edge.served === 'none' ? 1 : 0]);
      expect(edge.fallback).toBe(edge.wanted === 'dev1' && edge.served === 'base');
      expect(edge.p50).toBeLessThanOrEqual(edge.p99 ?? Number.NaN);
      expect(edge.rate).toBeGreaterThan(0);
    }
    expect(topology.columns).toEqual([['gateway'], ['productpage'], ['details', 'reviews'], ['ratings']]);
    expect(topology.places.filter(({ kind }) => kind === 'absent').map(({ id }) => id)).toEqual(['productpage/gold']);
    const facts = topology.filters.find(({ filter }) => filter === 'lane-tagging')?.facts ?? [];
    expect(facts.map(({ label, about }) => `${label} ${about}`)).toContain('tagged rule dev1-user, lane dev1');
  });

  it('goes on counting over the death and return of an Envoy', async () => {
    const before = calls(await seen('anything', () => true));
    const [victim] = stage.mesh.services.find((service) => service.name === 'reviews')?.instances ?? [];
    await stage.driver.kill(victim?.id ?? '', 'sidecar');
    await seen('one silent Envoy', ({ proxies }) => proxies.filter(({ state }) => state === 'silent').length === 1);
    await stage.driver.revive(victim?.id ?? '');
    await stage.healthy(victim?.id ?? '');
    await seen('every Envoy', ({ proxies }) => proxies.every(({ state }) => state === 'live'));
    await ask('nobody', 3);
    const edge = 'reviews/base → ratings wanted base served base';
    const after = await seen(
      'three more calls',
      (topology) => calls(topology).get(edge) === (before.get(edge) ?? 0) + 3,
    );
    expect(calls(after).get('gateway → productpage wanted base served base')).toBe(15);
  });

  it('counts calls without a tag from access logs where the filter does not', async () => {
    await stage.apply((config) => {
      config.filters = {};
    });
    const edge = 'productpage/base → details wanted base served base';
    const before = calls(await seen('anything', () => true)).get(edge) ?? 0;
    await Promise.all([ask('nobody', 4), ask('dev1', 2)]);
    const tagged = 'productpage/dev1 → details wanted dev1 served base';
    const more = (topology: Topology) =>
      [calls(topology).get(edge), calls(topology).get(tagged)].join() === `${before + 4},9`;
    await seen('four and two more calls', more);
  });
});

it('is told once by the command line', async () => {
  const causeway = (...words: string[]) => stage.command('topology', '--seconds', '1', ...words);
  const [text, json, svg] = [await causeway('--text'), await causeway('--json'), await causeway('--svg')];
  expect(text).toMatch(/productpage\/dev1 → details +dev1 +base \(fallback\)/);
  expect((JSON.parse(json) as { topology: Topology }).topology.mesh).toBe('bookinfo');
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
});

describe.skipIf(browserMissing !== null)('a page that is open', () => {
  it('goes on while Envoys die and return, and shows nothing of hostile headers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cw-page-'));
    await bundlePage(join(folder, 'page.html'));
    const server = await TopologyServer.listen(collector, { page: readFileSync(join(folder, 'page.html'), 'utf8') });
    const ending = new AbortController();
    const polling = collector.run(ending.signal, (topology) => server.publish(topology));
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(20_000);
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      await page.goto(server.url);
      await page.locator('.summary').getByText('7 of 7').waitFor();
      const hostile = '<img src=x onerror="window.hit=1">';
      const headers = { 'x-asm-traffic-lane': hostile, 'end-user': hostile, 'x-request-id': hostile };
      for (let n = 0; n < 3; n++) await stage.ask({ path: `/productpage?${encodeURIComponent(hostile)}`, headers });
      const [gone, other] = ['details-base-1', 'gateway'];
      for (const id of [gone, other]) await stage.driver.kill(id, 'sidecar');
      await page.getByRole('alert').getByText('gateway, details-base-1 do not answer.').waitFor();
      await page.getByRole('button', { name: /^details, lane base: does not answer/ }).waitFor();
      for (const id of [gone, other]) await stage.driver.revive(id);
      await page.locator('.summary').getByText('7 of 7').waitFor();
      await page.getByRole('alert').waitFor({ state: 'detached' });
      expect(await page.locator('img').count()).toBe(0);
      expect(await page.evaluate(() => 'hit' in window)).toBe(false);
      expect(await page.locator('body').textContent()).not.toContain('onerror');
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
      ending.abort();
      await polling;
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
