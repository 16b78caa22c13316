import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COVERAGE, MODULE, NO_FILTERS } from '../../envoy-configs/observability/filters.ts';
import { statsProxy } from '../../envoy-configs/observability/stats-proxy.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { openStory } from './story-stage.ts';
import { ROOT } from './support.ts';

/** Every metric that a dashboard, an alert or a page names is there on running Envoys that have every filter on. */

const MESH = `
mesh: bookinfo
baseline: base
gateways:
  - { name: gateway, routes: [{ prefix: /, service: productpage }] }
agent: { interval: 500ms }
centre: {}
isolation: {}
tls: {}
services:
  productpage: { entrance: true, calls: [reviews], instances: { base: {}, dev1: {} } }
  reviews:
    calls: []
    overload: {}
    interfaces: [{ name: one, template: '/reviews/{id}' }]
    limits:
      perSecond: 1000
      hotspots: [{ name: user, by: { header: x-user }, perSecond: 1000 }]
      adaptive: {}
    brokers: [{ name: events, port: 4222, at: '127.63.201.1:4222' }]
    breaker: {}
    healing: true
    tls: { mode: canary, percent: 50, pools: one }
    instances: { base: { replicas: 2 }, dev1: {} }
lanes:
  dev1: {}
rules:
  - { name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }
steering:
  - { name: some, services: [reviews], percent: 1, to: [{ lanes: [dev1, base] }] }
redirects:
  - { name: away, service: productpage, from: [dev1], percent: 0, to: base }
degradation:
  drops: [{ name: half, to: [reviews], percent: 0 }]
  cuts: [{ name: without, service: reviews }]
`;

/** Words of pages that look like metrics and are none. */
const NO_METRICS: Readonly<Record<string, string>> = {
  causeway_redirect_loop: 'a response code detail',
  causeway_lane_tagging_refused: 'a response code detail',
};

let stage: Stage;
let close: () => Promise<void>;
let known = new Set<string>();

beforeAll(async () => {
  ({ stage, close } = await openStory({ network: '127.63', scale: 20, edit: () => MESH }));
  for (const user of ['nobody', 'dev1', 'nobody', 'dev1']) {
    await stage.ask({ path: '/productpage', headers: { 'end-user': user } });
  }
  const names = async () => {
    const texts = await Promise.all(stage.claimants.map(({ adminSocket }) => new EnvoyAdmin(adminSocket).prometheus()));
    return new Set(
      texts.flatMap((text) => Array.from(text.matchAll(/^(causeway_[a-z_]+)/gm), ([, name = '']) => name)),
    );
  };
  // Edges and heartbeats come with the first tick after their request.
  known = await waitUntil(
    'edges and heartbeats',
    async () => {
      const now = await names();
      const late = [
        'causeway_lane_fallback_requests_total',
        'causeway_heartbeat_seconds',
        'causeway_agent_age_milliseconds',
      ];
      const missing = late.filter((name) => !now.has(name));
      return missing.length === 0 ? found(now) : notYet(missing.join(', '));
    },
    { deadlineMs: 30_000, intervalMs: 250 },
  );
});
afterAll(() => close());

const missing = (names: Iterable<string>) => [...new Set(names)].filter((name) => !known.has(name));

describe('metrics that exist', () => {
  it('are all that dashboard and alerts ask for', () => {
    const expressions = [MODULE, ...Object.values(COVERAGE)]
      .flatMap(({ panels, alerts }) => [...panels, ...alerts])
      .map(({ expr }) => expr);
    const named = expressions.flatMap((expression) => expression.match(/causeway_[a-z_]+/g) ?? []);
    expect(named.length).toBeGreaterThan(30);
    expect(missing(named)).toEqual([]);
  });

  const pages = [
    'README.md',
    ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
    ...readdirSync(join(ROOT, 'filters'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !NO_FILTERS.includes(entry.name))
      .map(({ name }) => `filters/${name}/README.md`),
    'envoy-configs/istio/README.md',
    'harness/topology/README.md',
  ];

  it.each(pages)('are all that %s names', (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const named = Array.from(text.matchAll(/causeway_[a-z_]*[a-z](?![a-z_])/g), ([name]) => name);
    expect(missing(named.filter((name) => NO_METRICS[name] === undefined))).toEqual([]);
    const prefix = /^All begin with `(causeway_[a-z_]+_)`/m.exec(text)?.[1];
    if (prefix === undefined) return;
    const table = /^## Metrics$([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
    const events = table
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => line.split('|')[1]?.match(/`[a-z_]+`/g) ?? [])
      .map((event) => event.slice(1, -1))
      // The second word of a row may be its label.
      .filter((event) => event.includes('_'));
    expect(events.length).toBeGreaterThan(5);
    expect(missing(events.map((event) => prefix + event))).toEqual([]);
  });

  it('are seen to be missing when they are', () => {
    expect(missing(['causeway_heartbeat_seconds', 'causeway_nosuch_total'])).toEqual(['causeway_nosuch_total']);
  });
});

describe('the Envoy that hands statistics to Prometheus', () => {
  it('gives one path of each proxy and nothing else of its admin', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cw-stats-'));
    const config = join(folder, 'proxy.json');
    writeFileSync(config, JSON.stringify(statsProxy('127.63.200.1', stage.claimants)));
    const envoy = (await resolveEnvoy()).path;
    const process = spawn(envoy, [
      '--config-path',
      config,
      '--concurrency',
      '1',
      '--use-dynamic-base-id',
      '--log-level',
      'off',
    ]);
    const ended = new Promise((resolve) => process.once('exit', resolve));
    const ask = async (path: string, method: 'GET' | 'POST' = 'GET') => {
      const answer = await request(`http://127.63.200.1:15090${path}`, { method, headersTimeout: 5_000 });
      return { status: answer.statusCode, text: await answer.body.text() };
    };
    try {
      const look = async () => ((await ask('/gateway')).status === 200 ? found(undefined) : notYet('not 200'));
      await waitUntil('statistics', look, { deadlineMs: 15_000, intervalMs: 100 });
      for (const { id } of stage.claimants) {
        const { status, text } = await ask(`/${id}`);
        expect([id, status]).toEqual([id, 200]);
        expect(text).toContain('causeway_vm_configured_total');
      }
      for (const path of [
        '/',
        '/quitquitquit',
        '/gateway/../quitquitquit',
        '/gateway/quitquitquit',
        '/gateway%2f..%2fquitquitquit',
        '/nobody',
      ])
        expect([path, (await ask(path)).status]).toEqual([path, 404]);
      expect((await ask('/gateway', 'POST')).status).toBe(404);
      for (const { adminSocket } of stage.claimants) expect(await new EnvoyAdmin(adminSocket).ready()).toBe(true);
    } finally {
      process.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
