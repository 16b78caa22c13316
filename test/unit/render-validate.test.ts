import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderTarget } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { uninstallSteps } from '../../harness/apply/uninstall-steps.ts';
import { validateNode } from '../../harness/commands/validate.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const WASM = join(ROOT, 'build/causeway.wasm');

/** Every word that the configuration has, at once. */
const EVERYTHING = `mesh: everything
baseline: main
tag: { header: x-lane }
trace: { sources: [{ header: traceparent }, { header: x-request-id }], entries: 1024 }
tracing: { inbound: 0, outbound: 100 }
agent: { interval: 500ms, mainThreadPercent: 0.5, cpu: host }
degradation:
  drops: [{ name: part, from: [web, edge], to: [api], interface: pay, percent: 12.5, class: 8 }]
  cuts: [{ name: side, from: [web], service: plain, on: false, when: { cpuPercent: 95, shedClass: 8 }, answer: { status: 200, body: '[]' } }]
isolation: { drainSeconds: 5, identities: ['spiffe://x/debug'], instances: { web-main-1: {}, api-u2-1: { match: { cel: "request.headers['a'] == 'b'" } } } }
lossless: { delaySeconds: 3, warmUp: 30s, edas: true }
ratelimit: { address: limits.example, port: 8081, timeout: 20ms, unreachable: refuse }
gateways:
  - name: edge
    trust: { cidrs: [127.0.9.9/32] }
    routes: [{ prefix: /, service: web }, { prefix: /grpc, service: api }]
  - { name: second, port: 8081, exposeLane: true, trust: { identities: ['spiffe://x/front'] }, routes: [{ prefix: /, service: web }] }
services:
  web: { entrance: true, limits: { perSecond: 1000.5, adaptive: {} }, instances: { main: { replicas: 2, weight: 3 }, canary: {} } }
  api:
    protocol: grpc
    entrance: true
    shards: 2
    lb: { policy: ring_hash, hashHeader: x-user }
    interfaces: [{ name: pay, methods: [POST], prefix: /pay }]
    limits:
      interfaces: { pay: 20 }
      perSecond: 100
      hotspots: [{ name: user, by: { header: x-user }, perSecond: 5, match: { path: { prefix: /pay } } }]
      adaptive: { after: 2, queueMs: 20, cpu: 0.9, signal: { header: x-load, threshold: 0.8 } }
      cluster:
        - { name: all, requests: 1000 }
        - { name: paying, interface: pay, by: { header: x-user }, requests: 60, unit: minute }
      stress: { class: true, match: { header: { name: x-load-test, present: true } } }
      queueTime: orca
      orcaMetric: queue
      status: 503
      retryAfterSeconds: 2
    instances: { main: { replicas: 4 }, u1: { replicas: 2 }, u2: {}, GROUP_1: {} }
  plain: { brokers: [{ name: nats, port: 4222, at: '127.0.0.9:4222' }, { name: mq, port: 5672, at: 'mq.test:5672' }], breaker: { coolDownMs: 1000 }, protocol: http2, lb: { policy: maglev, hashHeader: x-user }, idempotent: true, instances: { main: {} } }
lanes:
  canary: { mode: strict }
  u1: {}
  u2: { chain: [u1, main] }
  GROUP_1: { chain: [u1, u2, main] }
rules:
  - { name: c, entrance: web, lane: canary, match: { all: [{ cookie: { name: a, exact: b } }, { percentage: { percent: 10 } }] } }
  - { name: s, at: sidecar, entrance: api, lane: u1, match: { cel: "request.headers['a'] == 'b'" } }
steering:
  - { name: ten, services: [api], from: [main], percent: 10, to: [{ lanes: [u1, main], weight: 2 }, { lane: u2 }] }
  - { name: pin, services: [plain], callers: [web], to: [{ instance: plain-main-1 }] }
  - { name: pay, services: [api], interface: pay, to: [{ lane: u2 }] }
redirects:
  - { name: move, service: api, from: [u2], to: u1, percent: 50, interface: pay }
faults:
  - { name: drill, lane: u1, services: [api], percent: 12.5, abort: 503, delay: 100ms }
`;

let folder = '';
let envoy = '';
let target: RenderTarget;

beforeAll(async () => {
  if (!existsSync(WASM)) throw new Error(`${WASM} is not there: run make build`);
  folder = mkdtempSync(join(tmpdir(), 'cw-validate-'));
  envoy = (await resolveEnvoy()).path;
  target = {
    wasmPath: WASM,
    nodeDir: (id) => join(folder, id),
    adminSocket: (id) => join(folder, `${id}.sock`),
    accessLog: (id) => join(folder, `${id}.log`),
  };
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refusals(config: CausewayConfig): Promise<string[]> {
  const verdicts = [];
  for (const node of renderMesh(resolveMesh(config), target)) verdicts.push(await validateNode(envoy, node));
  expect(verdicts.length).toBeGreaterThan(0);
  return verdicts.filter(({ ok }) => !ok).map(({ id, reason }) => `${id}: ${reason}`);
}

it('Envoy accepts every node of Bookinfo', { timeout: 240_000 }, async () => {
  const text = readFileSync(join(ROOT, 'envoy-configs/bookinfo/causeway.yaml'), 'utf8');
  expect(await refusals(parseConfig(text, 'causeway.yaml'))).toEqual([]);
});

it('Envoy accepts every word of the configuration', { timeout: 240_000 }, async () => {
  expect(await refusals(parseConfig(EVERYTHING, 'everything.yaml'))).toEqual([]);
});

it('Envoy accepts every step of an uninstall, whatever the configuration has', { timeout: 240_000 }, async () => {
  // What needs the suite has to be gone before: isolated instances and shards.
  const config = parse(EVERYTHING.replace('shards: 2', 'shards: 0')) as CausewayConfig;
  Object.assign(config.isolation ?? {}, { instances: {} });
  for (const { name, mesh } of uninstallSteps(resolveMesh(config))) {
    if (name === 'untagged') continue;
    for (const node of renderMesh(mesh, target)) {
      const { id, ok, reason } = await validateNode(envoy, node);
      expect([name, id, ok ? '' : reason]).toEqual([name, id, '']);
    }
  }
});

it('Envoy refuses what a filter refuses, and says the filter’s reason', { timeout: 120_000 }, async () => {
  const config = parse(EVERYTHING) as CausewayConfig;
  config.services = { web: { entrance: true, instances: { main: {} } } };
  Object.assign(config, { steering: [], redirects: [], faults: [], lanes: {} });
  config.gateways = [{ name: 'edge', routes: [{ prefix: '/', service: 'web' }] }];
  config.rules = [{ name: 'c', lane: 'main', match: { cel: 'request.headers[' } }];
  const [first, ...rest] = await refusals(config);
  expect(rest).toEqual([]);
  expect(first).toMatch(/^edge: [\s\S]*causeway: [\s\S]*rules\[0\]\.match\.cel: found "request\.headers\["/);
});
