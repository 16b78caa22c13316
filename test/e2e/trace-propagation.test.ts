/** The example of trace-propagation's README on a real Envoy: first as it stands, then with every kind of trace id. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { StartedEnvoy } from '../flood/sidecar.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const EXAMPLE = join(import.meta.dirname, '../../envoy-configs/examples/trace-propagation.yaml');
const TAG = 'x-asm-traffic-lane';
const UUID = '8f14e45f-ceea-41d4-a716-446655440000';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const WORKERS = 2;

/** What the tests change in the example's connection managers. */
interface Manager {
  tracing?: { random_sampling: { value: number } };
  route_config: { virtual_hosts: { routes: { response_headers_to_add?: object[] }[] }[] };
  http_filters: [{ typed_config: { config: { configuration: { value: string } } } }];
}

interface Example {
  static_resources: { listeners: { name: string; filter_chains: { filters: { typed_config: Manager }[] }[] }[] };
}

interface Variant {
  /** Configuration keys beside `direction`. */
  readonly options?: object;
  /** Per cent of requests that tracing samples, by listener; without it there is no tracing. */
  readonly sampling?: Readonly<Record<string, number>>;
}

let text: string;
let envoy: StartedEnvoy | undefined;

beforeAll(async () => {
  const module = await compilePlugin('filters/suite.ts');
  text = (await readFile(EXAMPLE, 'utf8'))
    .replaceAll('build/causeway.wasm', module)
    .replaceAll(/port_value: \d+/g, 'port_value: 0');
});

afterEach(async () => {
  await envoy?.stop();
  envoy = undefined;
});

async function start(variant?: Variant): Promise<void> {
  const config = variant === undefined ? text : JSON.stringify(changed(parse(text) as Example, variant));
  const socket = (adminSocket: string) => config.replace('trace-propagation.admin.sock', adminSocket);
  envoy = await StartedEnvoy.start(socket, WORKERS);
}

function changed(example: Example, { options, sampling }: Variant): Example {
  for (const { name, filter_chains } of example.static_resources.listeners) {
    const manager = filter_chains[0]?.filters[0]?.typed_config;
    if (manager === undefined) throw new Error(`found no connection manager in the example's listener ${name}`);
    const { configuration } = manager.http_filters[0].typed_config.config;
    configuration.value = JSON.stringify({ direction: name, ...options });
    if (sampling !== undefined) manager.tracing = { random_sampling: { value: sampling[name] ?? 0 } };
    for (const route of manager.route_config.virtual_hosts.flatMap((host) => host.routes)) {
      const seen = ['x-request-id', 'baggage'].map((header) => ({
        header: { key: `x-sent-${header}`, value: `%REQ(${header})%` },
      }));
      route.response_headers_to_add = [...(route.response_headers_to_add ?? []), ...seen];
    }
  }
  return example;
}

interface Sent {
  readonly tag: string | undefined;
  readonly id: string | undefined;
  readonly baggage: string | undefined;
}

/** One request; which of its headers went on, as the example's answers show them. */
async function ask(listener: string, headers: Record<string, string>): Promise<Sent> {
  if (envoy === undefined) throw new Error('Envoy is started by every test');
  const answer = await request(`http://127.0.0.1:${envoy.port(listener)}/`, { headers, headersTimeout: 10_000 });
  await answer.body.dump();
  expect(answer.statusCode).toBe(200);
  const sent = (name: string): string | undefined => answer.headers[`x-sent-${name}`]?.toString();
  return { tag: sent('tag'), id: sent('x-request-id'), baggage: sent('baggage') };
}

it('the example carries the tag over an application that forwards only the trace id', async () => {
  await start();
  await ask('inbound', { 'x-request-id': 'trace-1', [TAG]: 'dev1' });
  expect((await ask('outbound', { 'x-request-id': 'trace-1' })).tag).toBe('dev1');
  expect((await ask('outbound', { 'x-request-id': 'trace-2' })).tag).toBeUndefined();
});

it.each([
  [0, 100],
  [100, 0],
])(
  'tracing of %i in 100 inbound and %i outbound rewrites the request id, and the tag is found',
  async (inbound, outbound) => {
    await start({ sampling: { inbound, outbound } });
    const learnt = await ask('inbound', { 'x-request-id': UUID, [TAG]: 'dev1' });
    const called = await ask('outbound', { 'x-request-id': UUID });
    expect(called.id, 'tracing has rewritten one of them').not.toBe(learnt.id);
    expect(called.tag).toBe('dev1');
  },
);

it('traceparent and b3 carry the tag where the request id is new on every call', async () => {
  await start({
    options: {
      sources: [{ header: 'x-request-id' }, { header: 'traceparent' }, { header: 'b3' }, { header: 'x-b3-traceid' }],
    },
  });
  await ask('inbound', { 'x-request-id': 'a', traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, [TAG]: 'dev1' });
  const parent = `00-${TRACE}-1111111111111111-01`;
  expect((await ask('outbound', { 'x-request-id': 'b', traceparent: parent })).tag).toBe('dev1');
  expect((await ask('outbound', { 'x-request-id': 'c', b3: `${TRACE}-1111111111111111-1` })).tag).toBe('dev1');
  expect((await ask('outbound', { 'x-b3-traceid': TRACE.toUpperCase() })).tag).toBe('dev1');
  expect((await ask('outbound', { traceparent: parent.replace('4bf', '4bd') })).tag).toBeUndefined();
});

it('baggage carries the tag through the application', async () => {
  await start({ options: { mode: 'baggage', baggageKey: 'lane' } });
  const { baggage } = await ask('inbound', { baggage: 'user=7,lane=forged', [TAG]: 'dev1' });
  expect(baggage).toBe('lane=dev1,user=7');
  expect((await ask('outbound', { baggage: baggage ?? '' })).tag).toBe('dev1');
  expect((await ask('inbound', { baggage: 'user=7,lane=forged' })).baggage).toBe('user=7');
});
