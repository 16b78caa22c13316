/** Failed tries, as the router's access logger tells of them in the filter's VM: what counts, and that nothing counts twice. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedHost, type HeaderList, type Properties, type RootContext, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const SLOTS = [0, 1, 2];
const address = (n: number) => `127.0.0.${n}:9080`;
const SERVICE = {
  name: 'reviews',
  authorities: ['reviews'],
  hosts: [1, 2, 3].map((n) => ({ address: address(n) })),
};
/** Envoy's response flags. */
const TIMEOUT = 0x4;
const UNREACHED = 0x20;
const RESET = 0x40;
const OVERFLOW = 0x100;
const IDLE = 0x10000;
const NO_HTTP = 0x800000;

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let vm: Vm;
let logger: RootContext;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 120_000);

function start(service: object = SERVICE, rootId = 'outlier-blacklist'): void {
  host = new EmulatedHost(module);
  const section = { services: [service] };
  const configuration = rootId === 'causeway' ? { 'outlier-blacklist': section } : section;
  vm = host.vm({ vmConfiguration: 'outbound', rootId, configuration });
  logger = vm.addPlugin({ rootId: 'outlier-blacklist.tries' });
}

beforeEach(() => start());

interface Try {
  readonly status?: string;
  readonly headers?: HeaderList;
  readonly flags?: number;
  readonly authority?: string;
  readonly properties?: Properties;
}

function fail(n: number, { status, headers = [], flags = 0, authority = 'reviews', properties = {} }: Try): void {
  logger.log({
    requestHeaders: [[':authority', authority]],
    ...(status === undefined ? {} : { responseHeaders: [[':status', status], ...headers] }),
    properties: { 'upstream.address': address(n), 'response.flags': flags, ...properties },
  });
}

interface End {
  readonly status?: string;
  readonly details?: string;
  readonly flags?: number;
  readonly properties?: Properties;
}

/** The whole request, whose last try went to this host. */
function end(
  n: number,
  { status = '200', details = 'via_upstream', flags = 0, properties = {} }: End = {},
  tries = () => {},
) {
  const stream = vm.httpStream({ requestHeaders: [[':authority', 'reviews']] });
  stream.requestHeaders();
  stream.setProperties({
    'upstream.address': address(n),
    'response.flags': flags,
    'response.code_details': details,
    ...properties,
  });
  tries();
  stream.responseHeaders([[':status', status]]);
  stream.end();
  return stream;
}

/** What the worker has counted of a host lately: requests, failures. A configuration that is replaced counts in a slot of its own. */
function counted(n: number): [number, number] {
  host.clock.advance(1_000);
  const records = SLOTS.map((slot) => host.sharedData.get('causeway', `v1/outlier/counts#${slot}`)?.value ?? '')
    .filter((value) => value !== '')
    .map((value) => Buffer.from(value, 'latin1'))
    .sort((a, b) => Number(b.readBigUInt64LE() - a.readBigUInt64LE()));
  const record = records[0] ?? Buffer.alloc(0);
  for (let row = 16; row + 240 <= record.length; row += 240) {
    const size = record.readUInt8(row + 29);
    if (record.toString('latin1', row + 192, row + 192 + size) !== address(n)) continue;
    return [record.readUInt32LE(row + 16), record.readUInt32LE(row + 20)];
  }
  return [0, 0];
}

const listed = () => Object.entries(host.metrics.nonZero()).filter(([name]) => name.includes('listed_total'));

/** Seconds in which every third request is first tried at host 2, in vain. */
function retried(seconds: number, told: boolean): void {
  for (let i = 0; i < seconds * 100; i++) {
    const good = i % 2 === 0 ? 1 : 3;
    end(good, {}, () => {
      if (told && i % 3 === 0) fail(2, { status: '503' });
    });
    host.clock.advance(10);
  }
  host.clock.advance(1_000);
}

describe.each(['outlier-blacklist', 'causeway'])('with the filter as %s', (rootId) => {
  it('a host that fails what retries make good is listed, and without being told of tries it is not', () => {
    start(SERVICE, rootId);
    end(2);
    retried(3, false);
    expect(listed()).toEqual([]);
    retried(3, true);
    expect(listed()).toEqual([[expect.stringContaining('reason.errors'), 1]]);
  });
});

describe('a try', () => {
  it.each<[string, Try, number]>([
    ['an answer of 503', { status: '503' }, 1],
    ['one of 500 that broke off as HTTP', { status: '500', flags: NO_HTTP }, 1],
    ['a timeout of the try', { flags: TIMEOUT }, 1],
    ['silence for too long', { flags: IDLE }, 1],
    ['an answer that is no HTTP', { flags: NO_HTTP }, 1],
    ['a connection that is refused', { flags: UNREACHED }, 0],
    ['a connection that breaks', { flags: RESET }, 0],
    ['a circuit breaker of our own', { flags: OVERFLOW }, 0],
    ['one that its caller gave up', {}, 0],
    ['a good answer', { status: '200' }, 0],
    ['501', { status: '501' }, 0],
    ['505', { status: '505' }, 0],
    ['a shed answer', { status: '503', headers: [['x-causeway-shed', '640']] }, 0],
    ['an isolated answer', { status: '503', headers: [['x-causeway-isolated', 'all']] }, 0],
    ['a limited answer', { status: '503', headers: [['x-envoy-ratelimited', 'true']] }, 0],
    ['another service', { status: '503', authority: 'ratings' }, 0],
    ['no authority', { status: '503', authority: '' }, 0],
    ['no host', { status: '503', properties: { 'upstream.address': '' } }, 0],
    ['a host that is none of them', { status: '503', properties: { 'upstream.address': '\xff'.repeat(5_000) } }, 0],
    ['a status that is none', { status: 'x' }, 0],
  ])('%s counts %#', (_what, one, failures) => {
    end(1, {}, () => fail(2, one));
    expect(counted(2)).toEqual([failures, failures]);
    expect(counted(1)).toEqual([1, 0]);
    expect(vm.failure).toBeUndefined();
  });

  it('costs 4 host calls when it says something, 1 when it is another service’s', () => {
    end(1);
    const calls = (one: Try) => {
      const ofLog = () =>
        host.calls.records({ callback: 'proxy_on_log' }).map(({ name }) => name.replace('proxy_', ''));
      const before = ofLog().length;
      fail(2, one);
      return ofLog().slice(before);
    };
    expect(calls({ status: '503' })).toEqual([
      'get_header_map_pairs',
      'get_property',
      'get_header_map_pairs',
      'get_property',
    ]);
    expect(calls({ status: '503', authority: 'ratings' })).toEqual(['get_header_map_pairs']);
  });

  it('before the first request, or of a host that is not known yet, does no harm', () => {
    fail(2, { status: '503' });
    start({ name: 'reviews', authorities: ['reviews'] });
    end(1, {}, () => fail(2, { status: '503' }));
    expect(counted(2), 'known by its failure').toEqual([1, 1]);
    vm.shutdown();
    expect(vm.failure).toBeUndefined();
  });
});

describe('the end of a request whose last try failed', () => {
  it.each<[string, End, Try | null, boolean]>([
    ['the host’s answer', { status: '503' }, { status: '503' }, false],
    [
      'a timeout of the try',
      { status: '504', details: 'upstream_per_try_timeout', flags: TIMEOUT },
      { flags: TIMEOUT },
      false,
    ],
    [
      'no HTTP',
      { status: '502', details: 'upstream_reset_before_response_started{protocol_error}', flags: NO_HTTP },
      { flags: NO_HTTP },
      false,
    ],
    ['a timeout of the whole request', { status: '504', details: 'response_timeout', flags: TIMEOUT }, null, true],
    ['a stream that was idle', { status: '504', details: 'stream_idle_timeout', flags: IDLE }, null, true],
    [
      'no connection',
      { status: '503', details: 'upstream_reset_before_response_started{remote_connection_failure}', flags: UNREACHED },
      { flags: UNREACHED },
      true,
    ],
    [
      'a broken connection',
      { status: '503', details: 'upstream_reset_before_response_started{connection_termination}', flags: RESET },
      { flags: RESET },
      true,
    ],
  ])('%s counts once', (_what, ending, one, byTheEnd) => {
    const tries = () => {
      if (one !== null) fail(2, one);
    };
    end(2, ending, tries);
    expect(counted(2), 'with a logger').toEqual([1, 1]);
    const [requests] = counted(2);
    end(2, ending);
    expect(counted(2)[0] - requests, 'by the end alone').toBe(byTheEnd ? 1 : 0);
    logger.shutdown();
    end(2, ending);
    expect(counted(2)[0] - requests, 'without one the end counts all').toBe(byTheEnd ? 2 : 1);
  });

  it.each<[string, End, Try | null]>([
    ['the host’s status', {}, null],
    ['no connection', { details: 'upstream_reset_before_response_started{x}', flags: UNREACHED }, { flags: UNREACHED }],
    ['a timeout of the try', { details: 'upstream_per_try_timeout', flags: TIMEOUT }, { flags: TIMEOUT }],
    ['a timeout of the whole call', { details: 'response_timeout', flags: TIMEOUT }, null],
  ])('of gRPC, %s, counts once', (_what, ending, one) => {
    start({ ...SERVICE, grpc: true });
    const properties = { 'response.grpc_status': 14n };
    end(2, { ...ending, properties }, () => {
      if (one !== null) fail(2, one);
    });
    expect(counted(2)).toEqual([1, 1]);
  });
});

it('a configuration that is replaced, or refused, leaves the tries to the one that serves', () => {
  end(1, {}, () => fail(2, { status: '503' }));
  expect(counted(2)).toEqual([1, 1]);
  vm.reconfigure({ services: 'none' });
  end(1, {}, () => fail(2, { status: '503' }));
  expect(counted(2)).toEqual([2, 2]);
  vm.reconfigure({ services: [{ ...SERVICE, name: 'other' }] });
  end(1, {}, () => fail(2, { status: '503' }));
  expect(counted(2)).toEqual([1, 1]);
});
