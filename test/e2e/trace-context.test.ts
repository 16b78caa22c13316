/**
 * W3C trace context through a stock Envoy by raw sockets: what the whole suite hands on in each role is what Envoy without
 * any filter hands on, byte for byte, and only valid ones are learnt from.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { laneScheme } from '../../envoy-configs/clusters.ts';
import { calleesOf } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { gatewaySections, inboundSections, outboundSections } from '../../envoy-configs/sections.ts';
import { TAG } from '../../filters/headers.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, refusedNothing, startEnvoy } from '../../harness/envoy/launcher.ts';
import { type FuzzListener, fuzzBootstrap, RawClient, RawUpstream } from '../fuzz/headers-envoy.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { type Headers, parentOf, TRACE, TRACE_CONTEXT, TWO_PARENTS, traceHeaders } from '../support/trace-context.ts';
import { ROOT } from './support.ts';

const STOCK = 'stock';
const ROLES = ['gateway', 'inbound', 'outbound'] as const;
/** Digits of the cases' trace id. Each case gets others in their place, so that none finds what another has left in the map. */
const MIDDLE = TRACE.slice(8, 12);

let folder: string;
let upstream: RawUpstream;
let client: RawClient;
let envoy: Envoy;
const ports = new Map<string, number>();

async function listeners(): Promise<FuzzListener[]> {
  const config = parse(await readFile(join(ROOT, 'harness/demo/bookinfo.yaml'), 'utf8')) as CausewayConfig;
  Object.assign(config, { trace: { sources: [{ header: 'traceparent' }] }, rules: [] });
  const mesh = resolveMesh(config);
  const [service] = mesh.services.filter(({ name }) => name === 'reviews');
  const [instance] = service?.instances ?? [];
  if (!service || !instance) throw new Error('no reviews in the demo');
  const scheme = laneScheme(mesh);
  const suites = {
    gateway: gatewaySections(mesh, scheme, 'gateway'),
    inbound: inboundSections(mesh, instance),
    outbound: outboundSections(mesh, scheme, instance, calleesOf(mesh, service)),
  };
  const filtering = ROLES.map((role) => ({
    name: role,
    plugin: { vmId: 'trace', role, rootId: 'causeway', configuration: suites[role] },
  }));
  return [{ name: STOCK }, ...filtering];
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cw-trace-'));
  upstream = await RawUpstream.start();
  client = new RawClient();
  const adminSocket = join(folder, 'admin.sock');
  const config = join(folder, 'envoy.json');
  const wasm = await compilePlugin('filters/suite.ts');
  await writeFile(config, fuzzBootstrap(await listeners(), wasm, upstream.port, adminSocket));
  const logPath = join(folder, 'envoy.log');
  envoy = await startEnvoy({ name: 'trace', binary: (await resolveEnvoy()).path, config, adminSocket, logPath });
  await refusedNothing(envoy);
  const { body } = await envoy.admin.get('/listeners?format=json');
  const { listener_statuses } = JSON.parse(body) as {
    listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
  };
  for (const { name, local_address } of listener_statuses) ports.set(name, local_address.socket_address.port_value);
});

afterAll(async () => {
  client?.close();
  await envoy?.stop();
  upstream?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** One request through a listener; what the upstream got of it, or the status that Envoy answered itself. */
async function through(listener: string, headers: Headers): Promise<Headers | number> {
  const rest = [
    [':method', 'GET'],
    [':path', '/ratings/0'],
    [':authority', 'ratings:9080'],
  ] as const;
  const status = await client.send(
    ports.get(listener) ?? 0,
    '127.0.0.1',
    [...rest, ...headers].map(([n, v]) => [n, v]),
  );
  const [got] = upstream.take();
  return got ?? status;
}

const tagOf = (got: Headers | number) => (typeof got === 'number' ? got : got.find(([name]) => name === TAG)?.[1]);
const traceOf = (got: Headers | number) => (typeof got === 'number' ? got : traceHeaders(got));

it('hands on what stock Envoy hands on, whatever its shape, in every role', async () => {
  for (const { what, headers } of [...TRACE_CONTEXT, { what: 'two traceparents', headers: TWO_PARENTS }]) {
    const stock = traceOf(await through(STOCK, headers));
    expect([what, typeof stock]).toEqual([what, 'object']);
    for (const role of ROLES) {
      expect([what, role, traceOf(await through(role, [[TAG, 'dev1'], ...headers]))]).toEqual([what, role, stock]);
    }
  }
});

it('learns and asks by valid ones alone', async () => {
  for (const [n, { what, headers, id }] of TRACE_CONTEXT.entries()) {
    const own = n.toString(16).padStart(4, '0');
    const mine = headers.map(([name, value]) => [name, value.replace(MIDDLE, own)] as const);
    await through('inbound', [[TAG, 'dev1'], ...mine]);
    const called = await through('outbound', [['traceparent', parentOf(TRACE.replace(MIDDLE, own))]]);
    expect([what, tagOf(called)]).toEqual([what, id === null ? undefined : 'dev1']);
  }
});
