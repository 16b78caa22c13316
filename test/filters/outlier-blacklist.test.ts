import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedHost, type HttpStream, type Properties, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const HOSTS = 'x-causeway-hosts';
const COUNTER = 'causeway_outlier_blacklist_';
const RESET = 0x40;

let module: Uint8Array<ArrayBuffer>;
let caller: Caller;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 120_000);

const address = (n: number) => `127.0.0.${n}:9080`;
const SERVICE = { name: 'reviews', authorities: ['reviews', 'reviews:9080'] };
const NAMED = { ...SERVICE, hosts: [1, 2, 3].map((n) => ({ address: address(n) })) };

interface Answer {
  /** Undefined: the caller goes before an answer. */
  status?: string;
  headers?: Record<string, string>;
  flags?: number;
  properties?: Properties;
}

/** The outbound side of one sidecar. */
class Caller {
  readonly host = new EmulatedHost(module);
  readonly vm: Vm;
  readonly #configuration: Record<string, unknown>;

  constructor(section: Record<string, unknown> = { services: [NAMED] }) {
    this.#configuration = section;
    this.vm = this.worker();
  }

  worker(): Vm {
    return this.host.vm({
      vmConfiguration: 'outbound',
      rootId: 'outlier-blacklist',
      configuration: this.#configuration,
    });
  }

  send(headers: Record<string, string> = {}, vm = this.vm): HttpStream {
    const stream = vm.httpStream({ requestHeaders: Object.entries({ ':authority': 'reviews', ...headers }) });
    stream.requestHeaders();
    return stream;
  }

  answer(
    stream: HttpStream,
    from: number,
    { status = '200', headers = {}, flags = 0, properties = {} }: Answer = {},
  ): void {
    const lane = { filter_metadata: { causeway: { lane: 'base' } } };
    stream.setProperties({
      'upstream.address': address(from),
      'response.flags': flags,
      'xds.upstream_host_metadata': lane,
      ...properties,
    });
    if (status === '') stream.reset();
    else stream.responseHeaders([[':status', status], ...Object.entries(headers)]);
    stream.end();
  }

  /** So many seconds of 40 requests for each of the hosts, which answer as they are told. */
  traffic(seconds: number, answers: readonly Answer[], vm = this.vm): void {
    for (let i = 0; i < seconds * 40; i++) {
      for (const [n, answer] of answers.entries()) this.answer(this.send({}, vm), n + 1, answer);
      this.host.clock.advance(25);
    }
  }

  hosts(headers: Record<string, string> = {}, vm = this.vm): string[] | undefined {
    const stream = this.send(headers, vm);
    const value = stream.requestHeaderMap.get(HOSTS);
    this.answer(stream, 1);
    return value?.split(',');
  }

  metrics(): Record<string, number> {
    this.host.clock.advance(1_000);
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
    return Object.fromEntries(
      own.map(([name, value]) => [name.slice(COUNTER.length).replace('.service.reviews', ''), value]),
    );
  }
}

const OK: Answer = {};
const BAD: Answer = { status: '503' };

beforeEach(() => {
  caller = new Caller();
});

const calls = (stream: HttpStream, callback: string) =>
  stream.calls(callback).map(({ name }) => name.replace('proxy_', ''));

describe('a host with tunnels', () => {
  it.each([
    ['101', undefined],
    ['200', 2],
  ])('whose answers of status %s are long open leaves %s hosts to choose', (status, left) => {
    const open: HttpStream[] = [];
    for (let i = 0; i < 400; i++) {
      open.push(caller.send());
      if (open.length > 20) caller.answer(open.shift() as HttpStream, 1, { status });
      for (const other of [2, 3]) caller.answer(caller.send(), other);
      caller.host.clock.advance(25);
    }
    expect(caller.hosts()?.length).toBe(left);
  });
});

describe('host calls', () => {
  it('are 2 for a request and 3 for its end while nothing is listed', () => {
    caller.traffic(2, [OK, OK, OK]);
    const stream = caller.send();
    expect(calls(stream, 'proxy_on_request_headers')).toEqual(['get_header_map_pairs', 'get_current_time_nanoseconds']);
    caller.answer(stream, 1);
    expect(calls(stream, 'proxy_on_log')).toEqual([
      'get_property',
      'get_header_map_pairs',
      'get_current_time_nanoseconds',
    ]);
  });

  it('are 1 more while something is, and 1 more for a failure', () => {
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(2, [OK, BAD, OK]);
    const stream = caller.send();
    expect(calls(stream, 'proxy_on_request_headers')).toEqual([
      'get_header_map_pairs',
      'get_current_time_nanoseconds',
      'replace_header_map_value',
    ]);
    caller.answer(stream, 1, BAD);
    expect(calls(stream, 'proxy_on_log')).toHaveLength(4);
  });

  it('are 1 for a service that is not watched', () => {
    const stream = caller.send({ ':authority': 'ratings' });
    caller.answer(stream, 1);
    expect(calls(stream, 'proxy_on_request_headers')).toEqual(['get_header_map_pairs']);
    expect(calls(stream, 'proxy_on_log')).toEqual([]);
  });
});

describe('a bad host', () => {
  it('is left out of the hosts that requests are given, in turns', () => {
    caller.traffic(2, [OK, OK, OK]);
    expect(caller.hosts()).toBeUndefined();
    caller.traffic(1.5, [OK, BAD, OK]);
    const given = [caller.hosts(), caller.hosts(), caller.hosts(), caller.hosts()];
    for (const hosts of given) expect(hosts?.toSorted()).toEqual([address(1), address(3)]);
    expect(new Set(given.map((hosts) => hosts?.[0])).size).toBe(2);
    expect(caller.metrics()).toMatchObject({ 'listed_total.reason.errors': 1, hosts_out: 1 });
    expect(caller.host.messages().join()).toContain(
      'outlier-blacklist: 127.0.0.2:9080 of reviews, lane base: out for 3',
    );
  });

  it('is left out by every worker, whichever saw it', () => {
    const second = caller.worker();
    caller.traffic(1, [OK, OK, OK]);
    caller.hosts({}, second);
    caller.traffic(1.5, [OK, BAD, OK]);
    caller.host.clock.advance(500);
    expect(caller.hosts({}, second)).not.toContain(address(2));
  });

  it('is still out when the judging worker has gone', () => {
    const second = caller.worker();
    caller.hosts({}, second);
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(1.5, [OK, BAD, OK]);
    caller.vm.shutdown();
    for (let i = 0; i < 20; i++) {
      caller.host.clock.advance(500);
      expect(caller.hosts({}, second)).not.toContain(address(2));
    }
    caller.traffic(1.5, [BAD, OK, OK], second);
    expect(caller.hosts({}, second), 'one of three at most').toContain(address(1));
    caller.host.clock.advance(30_000);
    caller.traffic(45, [OK, OK, OK], second);
    expect(caller.hosts({}, second)).toBeUndefined();
  });

  it('comes back by a probe and by steps', () => {
    caller = new Caller({ services: [{ ...NAMED, probe: { cluster: 'reviews.lanes', path: '/ready' } }] });
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(1.5, [OK, BAD, OK]);
    for (let i = 0; i < 350 && caller.vm.root.httpCalls.length === 0; i++) caller.traffic(0.1, [OK, OK, OK]);
    const [probe, ...others] = caller.vm.root.httpCalls;
    expect(others).toEqual([]);
    expect(probe?.cluster).toBe('reviews.lanes');
    expect(Object.fromEntries(probe?.headers.pairs() ?? [])).toMatchObject({ ':path': '/ready', [HOSTS]: address(2) });
    expect(caller.hosts()).not.toContain(address(2));
    probe?.respond({ headers: [[':status', '200']] });
    caller.host.clock.advance(500);
    const firsts = Array.from({ length: 600 }, () => caller.hosts()?.[0]);
    const share = firsts.filter((host) => host === address(2)).length / firsts.length;
    expect(share).toBeGreaterThan(0);
    expect(share, '5 % of a third').toBeLessThan(0.05);
    caller.traffic(45, [OK, OK, OK]);
    expect(caller.hosts()).toBeUndefined();
    expect(caller.metrics()).toMatchObject({ returned_total: 1 });
  });

  it('stays out when its probe fails, or cannot be sent', () => {
    caller = new Caller({ services: [{ ...NAMED, probe: { cluster: 'reviews.lanes' } }] });
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(1.5, [OK, BAD, OK]);
    for (let i = 0; i < 350 && caller.vm.root.httpCalls.length === 0; i++) caller.traffic(0.1, [OK, OK, OK]);
    caller.vm.root.httpCalls[0]?.fail();
    caller.traffic(1, [OK, OK, OK]);
    expect(caller.hosts()).not.toContain(address(2));
    expect(caller.metrics()).toMatchObject({ 'listed_total.reason.probe': 1 });
  });

  it('is listed for connections that fail and for slowness, too', () => {
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(0.5, [{ status: '503', flags: RESET }, OK, OK]);
    expect(caller.metrics()).toMatchObject({ 'listed_total.reason.connections': 1 });
  });
});

describe('what says nothing about a host', () => {
  it.each<[string, Answer]>([
    ['a shed answer', { status: '503', headers: { 'x-causeway-shed': '640' } }],
    ['an isolated answer', { status: '503', headers: { 'x-causeway-isolated': 'all' } }],
    ['a limited answer', { status: '503', headers: { 'x-envoy-ratelimited': 'true' } }],
    ['a circuit breaker of our own', { status: '503', flags: 0x80 }],
    ['no healthy host', { status: '503', flags: 0x2 }],
    ['429', { status: '429' }],
    ['501', { status: '501' }],
    ['a caller that goes at once', { status: '' }],
  ])('%s', (_what, answer) => {
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(5, [OK, answer, OK]);
    expect(caller.hosts()).toBeUndefined();
  });
});

describe('gRPC', () => {
  it('is judged by its status', () => {
    caller = new Caller({ services: [{ ...NAMED, grpc: true }] });
    const failed = (status: number): Answer => ({ properties: { 'response.grpc_status': BigInt(status) } });
    caller.traffic(2, [failed(0), failed(5), failed(0)]);
    expect(caller.hosts(), 'NOT_FOUND is an answer').toBeUndefined();
    caller.traffic(1.5, [failed(0), failed(14), failed(0)]);
    expect(caller.hosts()).not.toContain(address(2));
  });
});

describe('hosts', () => {
  it('that the configuration does not name are learnt from answers, with their lanes', () => {
    caller = new Caller({ services: [SERVICE] });
    caller.traffic(2, [OK, OK, OK, OK]);
    caller.traffic(1.5, [OK, OK, OK, BAD]);
    const hosts = caller.hosts();
    expect(hosts?.toSorted()).toEqual([address(1), address(2), address(3)]);
  });

  it('of a hash-balanced service are given by key, always', () => {
    const hosts = Array.from({ length: 10 }, (_, n) => ({ address: address(n + 1) }));
    caller = new Caller({ services: [{ ...SERVICE, hashHeader: 'X-User', hosts }] });
    const placed = () => Array.from({ length: 300 }, (_, user) => caller.hosts({ 'x-user': `u${user}` })?.[0]);
    const before = placed();
    expect(placed()).toEqual(before);
    expect(new Set(before).size).toBe(10);
    caller.traffic(
      2,
      hosts.map(() => OK),
    );
    caller.traffic(
      1.5,
      hosts.map((_, n) => (n === 3 ? BAD : OK)),
    );
    const after = placed();
    expect(after).not.toContain(address(4));
    expect(before.every((host, user) => host === address(4) || host === after[user])).toBe(true);
    expect(caller.hosts()?.length, 'without a key, in turns').toBeGreaterThan(1);
  });

  it('past 512 are counted together, and none of it traps', () => {
    caller = new Caller({ services: [SERVICE] });
    for (let n = 0; n < 600; n++) {
      const stream = caller.send();
      caller.answer(stream, 1, { properties: { 'upstream.address': `10.0.${n >> 8}.${n & 255}:80` } });
    }
    expect(caller.metrics()).toMatchObject({ uncounted_total: 88 });
    expect(caller.vm.failure).toBeUndefined();
  });
});

describe('bad input', () => {
  const SHARED = ['v1/outlier/board', 'v1/outlier/counts#0', 'v1/outlier/counts#5'];

  it('in shared data is passed over', () => {
    const junk = [
      '',
      '\0',
      'x'.repeat(15),
      '\xff'.repeat(16),
      '\xff'.repeat(255),
      `${'\0'.repeat(8)}\xff\xff\xff\xff${'\xff'.repeat(5_000)}`,
    ];
    for (const value of junk) {
      for (const key of SHARED) {
        caller.host.sharedData.set('causeway', key, value, 0);
        caller.traffic(1, [OK, BAD, OK]);
        expect(caller.vm.failure, `${key} ${JSON.stringify(value.slice(0, 20))}`).toBeUndefined();
      }
    }
  });

  it.each<[string, string]>([
    ['', 'an empty address'],
    ['\xff\xfe', 'bytes that are no address'],
    ['a'.repeat(5_000), 'a long one'],
  ])('%s as upstream address does not trap', (value) => {
    caller = new Caller({ services: [SERVICE] });
    for (let i = 0; i < 100; i++)
      caller.answer(caller.send(), 1, { status: '503', properties: { 'upstream.address': value } });
    caller.host.clock.advance(2_000);
    expect(caller.vm.failure).toBeUndefined();
  });

  it.each([
    ['services', {}],
    ['coolDownSeconds', { services: [SERVICE], coolDownSeconds: 0 }],
    ['maxOutPercent', { services: [SERVICE], maxOutPercent: 51 }],
    ['authorities', { services: [{ name: 'reviews', authorities: [] }] }],
  ])('in %s is refused, by its path', (key, configuration) => {
    const host = new EmulatedHost(module);
    const vm = host.vm({ vmConfiguration: 'outbound', rootId: 'outlier-blacklist', configuration });
    expect(vm.configured).toBe(false);
    expect(host.messages().join('\n')).toContain(key);
  });

  it('a forged header from the application is the strip filters’ business: the filter replaces it when it acts', () => {
    caller.traffic(2, [OK, OK, OK]);
    caller.traffic(1.5, [OK, BAD, OK]);
    const stream = caller.send({ [HOSTS]: '10.0.0.1:80' });
    expect(stream.requestHeaderMap.pairs().filter(([name]) => name === HOSTS)).toHaveLength(1);
    expect(stream.requestHeaderMap.get(HOSTS)).not.toContain('10.0.0.1');
  });
});
