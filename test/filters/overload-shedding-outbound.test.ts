/** The caller's side in the emulator: classes, thresholds that are believed, early drops. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedHost, type HttpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { CLASS, DROPPED, type Headers, hostCalls, SHED } from './overloaded-instance.ts';

const COUNTER = 'causeway_overload_shedding_';
const CONFIGURATION = {
  direction: 'outbound',
  services: [
    { name: 'reviews', authorities: ['reviews', 'reviews:9080'] },
    { name: 'ratings', authorities: ['ratings:9080'] },
  ],
};
const CLASSES = [
  { class: 0, match: { path: { exact: '/health' } } },
  { class: 1, match: { header: { name: 'x-user', exact: 'core' } } },
  { class: 9, match: { header: { name: 'x-user', exact: 'stress' } } },
];

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let vm: Vm;
let sent: number;

function use(options: object = {}): void {
  host = new EmulatedHost(module);
  vm = host.vm({
    vmConfiguration: 'outbound',
    rootId: 'overload-shedding',
    configuration: { ...CONFIGURATION, ...options },
  });
  expect(vm.configured, host.messages().join('\n')).toBe(true);
  sent = 0;
}

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

beforeEach(() => use({ classes: CLASSES }));

interface Upstream {
  readonly status?: string;
  readonly headers?: Headers;
  readonly address?: string;
  /** Whether the endpoint is a proxy of the mesh. Default true. */
  readonly mesh?: boolean;
  /** What `header_to_metadata` has kept. */
  readonly metadata?: string;
}

/** A call, and its answer unless it is dropped here. */
function call(headers: Headers = {}, upstream: Upstream = {}): HttpStream {
  const { status = '200', address = '10.0.0.1:9080', mesh = true } = upstream;
  const stream = vm.httpStream({
    requestHeaders: Object.entries({ ':authority': 'reviews:9080', 'x-request-id': `id ${sent++}`, ...headers }),
    properties: {
      'upstream.address': address,
      ...(mesh
        ? { xds: { upstream_host_metadata: { filter_metadata: { causeway: { instance: 'reviews-1' } } } } }
        : {}),
      ...(upstream.metadata === undefined
        ? {}
        : { metadata: { filter_metadata: { causeway: { shed: upstream.metadata } } } }),
    },
  });
  stream.requestHeaders();
  if (stream.clientResponse === undefined) {
    stream.responseHeaders([[':status', status], ...Object.entries(upstream.headers ?? {})]);
  }
  stream.end();
  return stream;
}

/** The callee refuses a request and says its threshold. */
const shed = (threshold: string | number, upstream: Upstream = {}): HttpStream =>
  call({}, { status: '503', headers: { [SHED]: String(threshold) }, ...upstream });

const dropped = (stream: HttpStream): boolean => stream.localResponseSent !== undefined;

function counted(): Record<string, number> {
  vm.root.tick();
  const own = Object.entries(host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length).replace('_total', ''), value]));
}

/** Enough sent for drops to be allowed: 90 % of what is offered at most. */
function warm(): void {
  for (let i = 0; i < 100; i++) call({ 'x-user': 'core' });
}

describe('classes', () => {
  it('come from the first rule that matches', () => {
    expect(call({ 'x-user': 'core' }).requestHeaderMap.get(CLASS)).toBe('1');
    expect(call({ 'x-user': 'core', ':path': '/health' }).requestHeaderMap.get(CLASS)).toBe('0');
    expect(call().requestHeaderMap.has(CLASS)).toBe(false);
  });

  it('name the expression that Envoy does not take', () => {
    host = new EmulatedHost(module);
    host.foreign.define('expr_create', () => ({ status: 2, result: '' }));
    const configuration = { ...CONFIGURATION, classes: [{ class: 1, match: { cel: 'nonsense(' } }] };
    const refused = host.vm({ vmConfiguration: 'outbound', rootId: 'overload-shedding', configuration });
    expect(refused.configured).toBe(false);
    expect(host.messages().join('\n')).toContain('overload-shedding.classes[0].match');
  });
});

describe('a threshold', () => {
  it('has what is over it dropped here for a second', () => {
    shed(5 * 128);
    warm();
    const stream = call();
    expect(stream.clientResponse?.status).toBe(503);
    expect(stream.clientResponse?.details).toBe('causeway_overload_shedding_dropped');
    expect(stream.clientResponse?.headers.get('x-envoy-ratelimited')).toBe('true');
    expect(dropped(call({ 'x-user': 'core' }))).toBe(false);
    expect(dropped(call({ ':authority': 'ratings:9080' })), 'another service').toBe(false);
    host.clock.advance(1100);
    expect(dropped(call())).toBe(false);
    expect(counted()).toMatchObject({ 'dropped_early.service.reviews': 1, believed: 1 });
  });

  it('lets one in 50 through, which says how many it stands for', () => {
    shed(5 * 128);
    warm();
    const streams = Array.from({ length: 500 }, () => shed(5 * 128));
    const samples = streams.filter((stream) => !dropped(stream));
    expect(samples).toHaveLength(10);
    const said = samples.map((stream) => Number(stream.requestHeaderMap.get(DROPPED)));
    expect(said).toEqual(said.map(() => 49));
  });

  it('never drops more than 90 %', () => {
    shed(128);
    const streams = Array.from({ length: 2000 }, () => shed(128));
    expect(streams.filter(dropped).length).toBeLessThanOrEqual(1800);
    expect(streams.filter(dropped).length).toBeGreaterThan(1700);
  });

  it('is read from metadata where a filter takes the header off', () => {
    use({ thresholdIn: 'metadata' });
    call({}, { status: '503', metadata: '640' });
    warm();
    expect(counted()).toMatchObject({ believed: 1 });
    for (let i = 0; i < 100; i++) call({}, { status: '503', metadata: '640' });
    expect(counted()['dropped_early.service.reviews']).toBeGreaterThan(80);
  });

  it('of one host drops nothing while another serves', () => {
    shed(128);
    warm();
    call({}, { address: '10.0.0.2:9080' });
    for (let i = 0; i < 20; i++) call({}, { address: '10.0.0.2:9080' });
    expect(dropped(call())).toBe(false);
  });
});

describe('host calls', () => {
  it('are 2 while nothing is shed: the request, and the answer', () => {
    use();
    const stream = call();
    expect(hostCalls(stream)).toEqual(['get_header_map_pairs']);
    expect(hostCalls(stream, 'proxy_on_log')).toEqual(['get_header_map_pairs']);
  });

  it('are none for a service that is not protected but its name', () => {
    use();
    const stream = call({ ':authority': 'elsewhere' });
    expect(hostCalls(stream)).toEqual(['get_header_map_pairs']);
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([]);
  });

  it('are 2 and 3 while a callee sheds', () => {
    use();
    shed(9 * 128);
    const stream = call();
    expect(hostCalls(stream)).toEqual(['get_header_map_pairs', 'get_current_time_nanoseconds']);
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([
      'get_header_map_pairs',
      'get_property',
      'get_current_time_nanoseconds',
    ]);
  });
});

describe('bad input', () => {
  it.each(['', 'abc', '-1', '1281', '1e3', '640, 640', '9'.repeat(1000)])('a threshold of "%s" is ignored', (value) => {
    shed(value);
    warm();
    expect(dropped(call())).toBe(false);
    expect(counted()).toMatchObject({ invalid_threshold: 1 });
  });

  it('a threshold from a foreign upstream is ignored', () => {
    shed(128, { mesh: false });
    warm();
    expect(dropped(call())).toBe(false);
    expect(counted()).toMatchObject({ foreign_threshold: 1 });
  });

  it('a threshold of 0 does not reach class 0', () => {
    shed(0);
    warm();
    expect(dropped(call({ ':path': '/health' }))).toBe(false);
    expect(dropped(call())).toBe(true);
    expect(counted()).toMatchObject({ believed: 1 });
  });

  it.each([-60_000, 60_000])('a clock that is set by %i ms ends what was believed', (jump) => {
    shed(128);
    warm();
    host.clock.jump(jump);
    expect(dropped(call())).toBe(false);
  });
});
