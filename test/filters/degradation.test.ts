import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DegradationConfig } from '../../filters/degradation/schema.ts';
import {
  EmulatedHost,
  type HeaderList,
  type HttpStream,
  LogLevel,
  type Properties,
  u64le,
  type Vm,
} from '../emulator/index.ts';
import { publishPressure } from '../support/agent-state.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';

const PREFIX = 'causeway_degradation_';
const HOST = '127.0.3.1:9080';
const MESH = { 'xds.upstream_host_metadata.filter_metadata.causeway.instance': 'reviews-base-1' };
const REVIEWS = { name: 'reviews', authorities: ['reviews', 'reviews:9080'] };
const OK: HeaderList = [[':status', '200']];
const FAILED: HeaderList = [[':status', '503']];

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let vm: Vm;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

beforeEach(() => {
  host = new EmulatedHost(module);
});

function start(configuration: DegradationConfig): void {
  vm = host.vm({ vmConfiguration: 'outbound', rootId: 'degradation', configuration });
  expect(host.messages(LogLevel.Error)).toEqual([]);
  expect(vm.configured).toBe(true);
}

interface Sent {
  readonly headers?: HeaderList;
  /** Undefined: the caller gives up, or the stream breaks. */
  readonly answer?: HeaderList | undefined;
  readonly properties?: Properties;
}

function send(sent: Sent = {}): HttpStream {
  const stream = vm.httpStream({
    requestHeaders: [[':authority', 'reviews'], [':method', 'GET'], [':path', '/reviews/0'], ...(sent.headers ?? [])],
    properties: { 'upstream.address': HOST, ...sent.properties },
  });
  stream.requestHeaders();
  const answer = 'answer' in sent ? sent.answer : OK;
  if (!stream.over && answer !== undefined) stream.responseHeaders(answer);
  else if (!stream.over) stream.reset();
  stream.end();
  return stream;
}

/** What the caller gets from this proxy itself: kind, status and details; undefined when the request went out. */
function own(stream: HttpStream): string | undefined {
  const reply = stream.clientResponse;
  const kind = reply?.headers.get('x-causeway-degraded');
  return kind === undefined ? undefined : `${kind} ${reply?.headers.get(':status')} ${reply?.details}`;
}

function repeat(times: number, sent: Sent, everyMs = 10): number {
  let refused = 0;
  for (let i = 0; i < times; i++) {
    host.clock.advance(everyMs);
    if (own(send(sent)) !== undefined) refused++;
  }
  return refused;
}

function counted(): Record<string, number> {
  vm.root.tick();
  const entries = Object.entries(host.metrics.nonZero()).filter(([name]) => name.startsWith(PREFIX));
  return Object.fromEntries(entries.map(([name, value]) => [name.slice(PREFIX.length).replace('_total', ''), value]));
}

const hostCalls = (stream: HttpStream, callback: string): string[] =>
  stream
    .calls(callback)
    .map(({ name, args }) => [name.replace('proxy_', ''), String(args.at(-1) ?? '')].join(' ').replaceAll('\0', '.'));

describe('the breaker', () => {
  it('refuses what nobody answers well, sends a probe a second, and comes back in steps', () => {
    start({ services: [{ ...REVIEWS, breaker: { coolDownMs: 1000, stepMs: 1000 } }] });
    expect(repeat(100, {})).toBe(0);
    host.clock.advance(11_000);
    expect(repeat(200, { answer: FAILED })).toBeGreaterThan(80);
    expect(own(send({ answer: FAILED }))).toBe('breaker 503 causeway_degradation_breaker');
    const refused = repeat(1000, { answer: FAILED });
    expect(refused).toBeGreaterThanOrEqual(985);
    expect(refused).toBeLessThan(995);
    // The cool-down has doubled with each bad probe; then 5, 10, 25, 50 %.
    repeat(4000, {});
    expect(repeat(1000, {})).toBe(0);
    const counts = counted();
    expect(counts['opened.service.reviews.interface.other']).toBeGreaterThanOrEqual(1);
    expect(counts['closed.service.reviews.interface.other']).toBe(1);
    expect(counts['probes.service.reviews.interface.other']).toBeGreaterThanOrEqual(10);
  });

  it('lets 5, 10, 25 and 50 % through on its way back, within two points', () => {
    start({ services: [{ ...REVIEWS, breaker: { coolDownMs: 1000, stepMs: 5000 } }] });
    repeat(2000, { answer: FAILED }, 1);
    // Half a second each; a step takes ten of them.
    const passed = Array.from({ length: 60 }, () => 100 - repeat(500, {}, 1) / 5);
    const first = passed.findIndex((percent) => percent > 2);
    const steps = [0, 1, 2, 3].map((step) => {
      const whole = passed.slice(first + 10 * step + 1, first + 10 * step + 9);
      return whole.reduce((sum, percent) => sum + percent, 0) / whole.length;
    });
    for (const [i, percent] of [5, 10, 25, 50].entries()) {
      expect(Math.abs((steps[i] ?? 0) - percent), passed.join(' ')).toBeLessThan(2);
    }
    expect(passed.slice(first + 42)).toEqual(passed.slice(first + 42).map(() => 100));
  });

  it.each<[string, Sent, boolean]>([
    ['5xx', { answer: [[':status', '500']] }, true],
    ['a timeout', { answer: [[':status', '504']] }, true],
    ['a reset', { answer: FAILED, properties: { 'upstream.address': undefined } }, true],
    [
      'a caller that gave up after 1 s',
      { answer: undefined, properties: { 'request.duration': u64le(1_000_000_000n) } },
      true,
    ],
    [
      'a caller that gave up before',
      { answer: undefined, properties: { 'request.duration': u64le(999_000_000n) } },
      false,
    ],
    ['a caller that gave up, nobody knows when', { answer: undefined }, false],
    ['4xx', { answer: [[':status', '404']] }, false],
    ['429', { answer: [[':status', '429']] }, false],
    [
      'an answer that the callee has shed',
      { answer: [...FAILED, ['x-causeway-shed', '640']], properties: MESH },
      false,
    ],
    ['the same from a stranger', { answer: [...FAILED, ['x-causeway-shed', '640']] }, true],
    ['an absurd threshold', { answer: [...FAILED, ['x-causeway-shed', '1e308']], properties: MESH }, true],
    ['no status', { answer: [[':status', '']], properties: { 'request.duration': u64le(1n) } }, false],
    [
      'a status that is no number',
      { answer: [[':status', 'five']], properties: { 'request.duration': u64le(1n) } },
      false,
    ],
  ])('counts %s as a failure or not', (_name, sent, failure) => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    expect(repeat(100, sent) > 0).toBe(failure);
  });

  it.each([
    ['1e308', MESH, 1],
    ['-1', MESH, 1],
    ['1281', MESH, 1],
    ['640', {}, undefined],
  ])('takes a shed threshold of %s by the status of its answer', (threshold, properties, ignored) => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    send({ answer: [...FAILED, ['x-causeway-shed', threshold]], properties });
    expect(counted()['ignored.reason.bad_threshold']).toBe(ignored);
    expect(repeat(100, { answer: [...FAILED, ['x-causeway-shed', threshold]], properties })).toBeGreaterThan(0);
  });

  it('starts closed where a VM has been replaced', () => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    repeat(300, { answer: FAILED });
    expect(own(send({ answer: FAILED }))).toBeDefined();
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    expect(repeat(50, {})).toBe(0);
  });

  it.each([
    [0, false],
    [5, false],
    [8, false],
    [4, true],
    [13, true],
    [14, true],
    [99, false],
  ])('takes gRPC status %i for a failure: %s', (status, failure) => {
    start({ services: [{ ...REVIEWS, grpc: true, breaker: {} }] });
    expect(repeat(100, { properties: { 'response.grpc_status': u64le(BigInt(status)) } }) > 0).toBe(failure);
  });

  it('has one for each interface', () => {
    start({
      services: [
        {
          ...REVIEWS,
          breaker: {},
          interfaces: [
            { name: 'one', template: '/reviews/{id}' },
            { name: 'post', methods: ['POST'], template: '/reviews' },
          ],
        },
      ],
    });
    expect(repeat(100, { answer: FAILED })).toBeGreaterThan(20);
    const stream = vm.exchange({
      requestHeaders: [
        [':authority', 'REVIEWS:9080'],
        [':method', 'POST'],
        [':path', '/reviews'],
      ],
      properties: { 'upstream.address': HOST },
    });
    expect(own(stream)).toBeUndefined();
    expect(Object.keys(counted()).filter((name) => name.startsWith('refused'))).toEqual([
      'refused.service.reviews.interface.one',
    ]);
  });

  it('does not refuse while one host answers well', () => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    for (let i = 0; i < 500; i++) {
      host.clock.advance(10);
      const bad = i % 2 === 0;
      const stream = send({
        answer: bad ? FAILED : OK,
        properties: { 'upstream.address': bad ? HOST : '127.0.3.2:9080' },
      });
      expect(own(stream)).toBeUndefined();
    }
  });

  it('leaves other services alone, and starts anew with a new configuration', () => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    expect(repeat(200, { answer: FAILED })).toBeGreaterThan(50);
    expect(own(vm.exchange({ requestHeaders: [[':authority', 'ratings']] }))).toBeUndefined();
    vm.reconfigure({ services: [{ ...REVIEWS, breaker: { stepMs: 2000 } }] });
    expect(own(send())).toBeUndefined();
  });

  it('survives a clock that jumps, either way', () => {
    start({ services: [{ ...REVIEWS, breaker: { coolDownMs: 1000, stepMs: 1000 } }] });
    for (const jump of [-3_600_000, 3_600_000]) {
      repeat(300, { answer: FAILED });
      host.clock.jump(jump);
      repeat(3000, {});
      expect(repeat(500, {}), `after ${jump} ms`).toBe(0);
    }
  });
});

describe('drops', () => {
  const drops = [{ name: 'half', services: ['reviews'], percent: 50, class: 5 }];

  it('take their share of traces, the same in every proxy', () => {
    start({ services: [REVIEWS], drops });
    const other = host.vm({ label: 'another', rootId: 'degradation', configuration: { services: [REVIEWS], drops } });
    let dropped = 0;
    for (let i = 0; i < 4000; i++) {
      const headers: HeaderList = [['x-request-id', `trace-${i}`]];
      const here = own(send({ headers }));
      if (here !== undefined) dropped++;
      const there = other.exchange({ requestHeaders: [[':authority', 'reviews'], ...headers] });
      expect(own(there)).toBe(here);
    }
    expect(dropped / 40).toBeGreaterThan(48);
    expect(dropped / 40).toBeLessThan(52);
    expect(counted()['dropped.rule.half']).toBe(dropped);
  });

  it.each<[string, string, boolean]>([
    ['0', 'control', false],
    ['1', 'more important than the rule says', false],
    ['5', 'as the rule says', true],
    ['9', 'less important', true],
    ['x', 'no class: the default one', true],
    ['55', 'no class: the default one', true],
  ])('look at the class %s: %s', (class_, _what, dropped) => {
    start({ services: [REVIEWS], drops: [{ name: 'all', percent: 100, class: 5 }] });
    expect(own(send({ headers: [['x-causeway-class', class_]] })) !== undefined).toBe(dropped);
  });

  it.each(['x', '55', '-1', ''])('count "%s" as no class, and as class 5', (class_) => {
    start({ services: [REVIEWS], drops: [{ name: 'all', percent: 100, class: 5 }] });
    expect(own(send({ headers: [['x-causeway-class', class_]] }))).toBe('drop 503 causeway_degradation_drop');
    expect(counted()).toEqual({ 'ignored.reason.bad_class': 1, 'dropped.rule.all': 1 });
  });

  it('answer with the configured status, and UNAVAILABLE for gRPC', () => {
    start({ services: [REVIEWS], status: 429, drops: [{ name: 'all', percent: 100 }] });
    expect(own(send())).toBe('drop 429 causeway_degradation_drop');
    const grpc = send({ headers: [['content-type', 'application/grpc']] });
    expect(grpc.clientResponse?.headers.get('grpc-status')).toBe('14');
  });

  it('apply to one interface', () => {
    const interfaces = [{ name: 'one', template: '/reviews/{id}' }];
    start({ services: [{ ...REVIEWS, interfaces }], drops: [{ name: 'rest', interface: 'other', percent: 100 }] });
    expect(own(send())).toBeUndefined();
    start({ services: [{ ...REVIEWS, interfaces }], drops: [{ name: 'one', interface: 'one', percent: 100 }] });
    expect(own(send())).toBe('drop 503 causeway_degradation_drop');
    start({ services: [{ ...REVIEWS, interfaces }], drops: [{ name: 'none', interface: 'nowhere', percent: 100 }] });
    expect(own(send())).toBeUndefined();
  });
});

describe('cuts', () => {
  const answer = { body: '{"ratings":[]}', status: 200 };

  it('answer in place of the dependency, by hand', () => {
    start({ services: [REVIEWS], cuts: [{ name: 'off', service: 'reviews', on: true, answer }] });
    const stream = send();
    expect(own(stream)).toBe('cut 200 causeway_degradation_cut');
    expect(stream.clientResponse?.headers.get('content-type')).toBe('application/json');
    expect(stream.clientResponse?.body).toBe('{"ratings":[]}');
    expect(counted()).toEqual({ 'cut.rule.off': 1 });
    vm.reconfigure({ services: [REVIEWS], cuts: [{ name: 'off', service: 'reviews', answer }] });
    expect(own(send())).toBeUndefined();
  });

  it('hold while the callee sheds the class, and five seconds longer', () => {
    start({ services: [REVIEWS], cuts: [{ name: 'shed', service: 'reviews', when: { shedClass: 8 }, answer }] });
    send({ answer: [...FAILED, ['x-causeway-shed', '1200']], properties: MESH });
    expect(own(send()), 'only class 9 is shed').toBeUndefined();
    send({ answer: [...FAILED, ['x-causeway-shed', '1030']] });
    expect(own(send()), 'said by a stranger').toBeUndefined();
    send({ answer: [...FAILED, ['x-causeway-shed', '1030']], properties: MESH });
    expect(own(send())).toBe('cut 200 causeway_degradation_cut');
    host.clock.advance(5_000);
    expect(own(send())).toBeUndefined();
  });

  it('hold while the machine is busy, as the agent says', () => {
    start({ services: [REVIEWS], cuts: [{ name: 'busy', service: 'reviews', when: { cpuPercent: 90 }, answer }] });
    const publish = (permille: number): void => {
      publishPressure(host, permille);
      host.clock.advance(1_000);
    };
    publish(890);
    expect(own(send())).toBeUndefined();
    publish(900);
    expect(own(send())).toBe('cut 200 causeway_degradation_cut');
    host.clock.advance(60_000);
    expect(own(send()), 'the agent is silent').toBeUndefined();
  });
});

describe('the configuration', () => {
  it('is refused with too many breakers', () => {
    const interfaces = Array.from({ length: 63 }, (_, i) => ({ name: `i${i}`, template: `/${i}` }));
    const services = Array.from({ length: 9 }, (_, i) => ({
      name: `s${i}`,
      authorities: [`s${i}`],
      interfaces,
      breaker: {},
    }));
    vm = host.vm({ rootId: 'degradation', configuration: { services } });
    expect(vm.configured).toBe(false);
    expect(host.messages(LogLevel.Critical)).toEqual([
      'causeway: degradation.services: found 576 interfaces with a breaker, expected at most 512',
    ]);
  });
});

describe('host calls', () => {
  it('are as the README says', () => {
    start({ services: [{ ...REVIEWS, breaker: {} }] });
    send();
    const calm = send();
    expect(hostCalls(calm, 'proxy_on_request_headers')).toEqual(['get_header_map_pairs RequestHeaders']);
    expect(hostCalls(calm, 'proxy_on_log').map((call) => call.split(' ')[0])).toEqual([
      'get_header_map_pairs',
      'get_property',
      'get_current_time_nanoseconds',
    ]);
    const stranger = vm.exchange({ requestHeaders: [[':authority', 'nobody']] });
    expect(hostCalls(stranger, 'proxy_on_request_headers')).toHaveLength(1);
    expect(hostCalls(stranger, 'proxy_on_log')).toEqual([]);
  });
});

/** All that can become of requests, four a time. */
function wave(): void {
  for (let i = 0; i < 300; i++) {
    host.clock.advance(20);
    const answer = i % 3 === 0 ? undefined : i % 2 === 0 ? FAILED : OK;
    send({
      answer,
      headers: [['x-request-id', `t${i}`]],
      properties: { 'upstream.address': `10.0.0.${i % 40}:1` },
    });
    send({ headers: [['x-causeway-class', 'bad']] });
    vm.exchange({ requestHeaders: [[':authority', 'cut']] });
    vm.exchange({ requestHeaders: [[':authority', 'broken']], response: FAILED });
  }
  vm.root.tick();
}

const WAVED: DegradationConfig = {
  services: [
    { ...REVIEWS, breaker: {}, interfaces: [{ name: 'one', template: '/reviews/{id}' }] },
    { name: 'cut', authorities: ['cut'] },
    { name: 'broken', authorities: ['broken'], breaker: {} },
  ],
  drops: [{ name: 'some', services: ['reviews'], percent: 20 }],
  cuts: [{ name: 'off', service: 'cut', on: true, answer: { body: 'x' } }],
};

describe('a request', () => {
  it('allocates nothing, whatever becomes of it', async () => {
    const bytes = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { countAllocations: true })));
    host = new EmulatedHost(bytes, { record: false });
    start(WAVED);
    wave();
    const count = () => [vm.instance.global(GC_ALLOCATIONS), vm.instance.global(HEAP_ALLOCATIONS)];
    const before = count();
    wave();
    expect(count()).toEqual(before);
  });

  it('ends the same when memory is collected under every host call, or after every callback', async () => {
    const bytes = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { exportRuntime: true })));
    const [plain, ...others] = ([false, 'allocator', 'callbacks'] as const).map((torture) => {
      host = new EmulatedHost(bytes, { record: false });
      vm = host.vm({ vmConfiguration: 'outbound', rootId: 'degradation', configuration: WAVED, torture });
      // A second configuration makes garbage of the first.
      vm.reconfigure(WAVED);
      wave();
      expect(vm.failure).toBeUndefined();
      return counted();
    });
    expect(Object.keys(plain ?? {}).map((name) => name.split('.')[0])).toEqual(
      expect.arrayContaining(['refused', 'probes', 'opened', 'dropped', 'cut', 'ignored']),
    );
    for (const other of others) expect(other).toEqual(plain);
  });
});
