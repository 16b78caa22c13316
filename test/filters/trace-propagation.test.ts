import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type CallRecord,
  EmulatedHost,
  type HeaderList,
  type HttpStream,
  LogLevel,
  Status,
  type Vm,
} from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const TAG = 'x-asm-traffic-lane';
const ID = 'x-request-id';
const TTL_MS = 30_000;
const BUCKETS = 128;
const SMALL = { entries: 1024 };
const COUNTER = 'causeway_trace_propagation_';

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let inbound: Vm;
let outbound: Vm;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

function start(options: Record<string, unknown> = {}): void {
  host = new EmulatedHost(module);
  inbound = vm('inbound', options);
  outbound = vm('outbound', options);
}

function vm(direction: 'inbound' | 'outbound', options: Record<string, unknown> = {}): Vm {
  const configuration = { direction, ...SMALL, ...options };
  return host.vm({ label: direction, vmConfiguration: direction, rootId: 'trace-propagation', configuration });
}

/** A request comes in and stays in flight. */
function arrive(headers: HeaderList): HttpStream {
  const stream = inbound.httpStream({ requestHeaders: headers });
  stream.requestHeaders();
  return stream;
}

/** The application sends a request; the tag that goes upstream with it. */
function call(headers: HeaderList): string | undefined {
  return inFull(outbound.exchange({ requestHeaders: headers }));
}

function inFull(stream: HttpStream): string | undefined {
  return stream.requestHeaderMap.get(TAG);
}

/** Counters and gauges of the filter that are not zero, without their common prefix and suffix. */
function counted(): Record<string, number> {
  inbound.root.tick();
  outbound.root.tick();
  const entries = Object.entries(host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
  return Object.fromEntries(entries.map(([name, value]) => [name.slice(COUNTER.length).replace('_total', ''), value]));
}

function hostCalls(stream: HttpStream, callback?: string): string[] {
  return stream.calls(callback).map((record: CallRecord) => record.name.replace('proxy_', ''));
}

beforeEach(() => start());

describe('the tag crosses an application that forwards only the trace id', () => {
  it('is learnt inbound and added outbound', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(call([[ID, 'a']])).toBe('dev1');
    expect(call([[ID, 'b']])).toBeUndefined();
    expect(counted()).toMatchObject({ stored: 1, hit: 1, miss: 1, pinned: 1 });
  });

  it('ends ttl after the answer, whatever happened before', () => {
    const stream = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    host.clock.advance(TTL_MS * 3);
    expect(call([[ID, 'a']])).toBe('dev1');
    stream.responseHeaders();
    stream.end();
    host.clock.advance(TTL_MS - 1);
    expect(call([[ID, 'a']])).toBe('dev1');
    host.clock.advance(TTL_MS);
    expect(call([[ID, 'a']])).toBeUndefined();
    expect(counted()).not.toHaveProperty('pinned');
  });

  it('is released once, also when the request is reset', () => {
    const first = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    const second = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    first.reset();
    expect(counted()).toMatchObject({ stored: 1, refreshed: 1, pinned: 1 });
    host.clock.advance(TTL_MS + 1);
    expect(call([[ID, 'a']]), 'the second request is still in flight').toBe('dev1');
    second.reset();
    host.clock.advance(TTL_MS + 1);
    expect(call([[ID, 'a']])).toBeUndefined();
  });

  it('is released when the context ends without a log', () => {
    const stream = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch });
    stream.log();
    host.faults.clear();
    stream.end();
    expect(counted(), 'a release that every attempt lost is not tried again').toMatchObject({ cas_exhausted: 1 });
    host.clock.advance(600_000);
    expect(call([[ID, 'a']]), 'the pin expires by itself').toBeUndefined();
  });

  it('is left alone where the application forwards it', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(
      call([
        [TAG, 'dev2'],
        [ID, 'a'],
      ]),
    ).toBe('dev2');
    expect(counted()).toMatchObject({ explicit: 1 });
    expect(counted()).not.toHaveProperty('hit');
  });

  it('survives the digit that tracing rewrites, either way round', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, '8f14e45f-ceea-41d4-a716-446655440000'],
    ]);
    expect(call([[ID, '8f14e45f-ceea-91d4-a716-446655440000']])).toBe('dev1');
    arrive([
      [TAG, 'dev2'],
      [ID, '7f14e45f-ceea-91d4-a716-446655440000'],
    ]);
    expect(call([[ID, '7F14E45F-CEEA-41D4-A716-446655440000']])).toBe('dev2');
  });

  it('works over any of the configured sources, learnt from one and asked by another', () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    start({
      sources: [
        { header: 'X-Request-Id' },
        { header: 'traceparent' },
        { header: 'b3' },
        { header: 'x-trace', format: 'b3-traceid' },
      ],
    });
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
      ['traceparent', `00-${trace}-00f067aa0ba902b7-01`],
    ]);
    expect(
      call([
        [ID, 'fresh'],
        ['traceparent', `00-${trace}-1111111111111111-00`],
      ]),
    ).toBe('dev1');
    expect(call([['b3', `${trace}-00f067aa0ba902b7-1`]])).toBe('dev1');
    expect(call([['x-trace', trace.toUpperCase()]])).toBe('dev1');
    expect(counted()).toMatchObject({ stored: 2, hit: 3 });
  });

  it('takes sw8 and uber-trace-id by their names', () => {
    start({ sources: [{ header: 'sw8' }, { header: 'uber-trace-id' }, { header: 'x-b3-traceid' }] });
    arrive([
      [TAG, 'dev1'],
      ['sw8', '1-dHJhY2UuMS4y-c2Vn-3-c3Zj-aW5z-L2E=-MTI3LjAuMC4xOjgw'],
    ]);
    expect(call([['sw8', '0-dHJhY2UuMS4y-b3RoZXI=-1']])).toBe('dev1');
    arrive([
      [TAG, 'dev2'],
      ['uber-trace-id', '3ab:1:0:1'],
    ]);
    expect(call([['uber-trace-id', '3ab%3A2%3A1%3A1']])).toBe('dev2');
    expect(call([['x-b3-traceid', '00000000000003ab']])).toBe('dev2');
  });

  it('uses the configured tag header', () => {
    start({ tagHeader: 'X-Lane' });
    arrive([
      ['x-lane', 'dev1'],
      [ID, 'a'],
    ]);
    const stream = outbound.exchange({ requestHeaders: [[ID, 'a']] });
    expect(stream.requestHeaderMap.get('x-lane')).toBe('dev1');
  });

  it('is shared by every worker', () => {
    const other = vm('inbound');
    const stream = other.httpStream({
      requestHeaders: [
        [TAG, 'dev1'],
        [ID, 'a'],
      ],
    });
    stream.requestHeaders();
    expect(call([[ID, 'a']])).toBe('dev1');
  });
});

describe('two tags for one id', () => {
  it('keep the first while its request runs, then take the last', () => {
    const first = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    arrive([
      [TAG, 'dev2'],
      [ID, 'a'],
    ]).reset();
    expect(call([[ID, 'a']])).toBe('dev1');
    first.reset();
    arrive([
      [TAG, 'dev2'],
      [ID, 'a'],
    ]);
    expect(call([[ID, 'a']])).toBe('dev2');
    expect(counted()).toMatchObject({ 'conflict.kind.kept': 1, 'conflict.kind.replaced': 1 });
  });
});

describe('lost propagation', () => {
  it('is told from untagged traffic', () => {
    start({ leakSample: 1 });
    arrive([[ID, 'a']]);
    call([[ID, 'a']]);
    call([[ID, 'never seen']]);
    call([]);
    expect(counted()).toEqual({ miss: 2, untagged: 1, 'leaked.reason.unknown_id': 1, 'leaked.reason.no_id': 1 });
  });

  it('remembers untagged ids for one to two ttl', () => {
    start({ leakSample: 1 });
    arrive([[ID, 'a']]);
    host.clock.advance(TTL_MS);
    call([[ID, 'a']]);
    host.clock.advance(TTL_MS);
    call([[ID, 'a']]);
    expect(counted()).toMatchObject({ untagged: 1, 'leaked.reason.unknown_id': 1 });
  });

  it('is watched on a sample that stands for all', () => {
    start({ leakSample: 8 });
    for (let i = 0; i < 4000; i++) call([[ID, `id ${i}`]]);
    const { 'leaked.reason.unknown_id': leaked } = counted();
    expect(leaked).toBeGreaterThan(3200);
    expect(leaked).toBeLessThan(4800);
    expect((leaked ?? 0) % 8).toBe(0);
  });

  it('costs untagged requests nothing when it is off', () => {
    start({ leakSample: 0 });
    expect(hostCalls(arrive([[ID, 'a']]))).toEqual(['get_header_map_value']);
    call([[ID, 'a']]);
    expect(counted()).toEqual({ miss: 1 });
  });
});

describe('host calls', () => {
  const read = 'get_header_map_value';
  const update = ['get_shared_data', 'set_shared_data'];

  it('are 5 for a tagged request inbound and 3 when it ends', () => {
    const stream = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(hostCalls(stream)).toEqual([read, read, 'get_current_time_nanoseconds', ...update]);
    stream.end();
    expect(hostCalls(stream, 'proxy_on_log')).toEqual(['get_current_time_nanoseconds', ...update]);
    expect(hostCalls(stream, 'proxy_on_delete')).toEqual([]);
  });

  it('are 2 for an untagged request inbound, 5 when its id is watched, none when it ends', () => {
    const unwatched = Array.from({ length: 64 }, (_, i) => arrive([[ID, `id ${i}`]])).filter(
      (stream) => hostCalls(stream).length === 2,
    );
    expect(unwatched.length).toBeGreaterThan(48);
    start({ leakSample: 1 });
    const stream = arrive([[ID, 'a']]);
    expect(hostCalls(stream)).toEqual([read, read, 'get_current_time_nanoseconds', ...update]);
    stream.end();
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([]);
  });

  it('are 6 for the first hit outbound, 5 for later ones, 4 for a miss, 1 with a tag', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    const lookUp = [read, read, 'get_current_time_nanoseconds', 'get_shared_data'];
    const exchange = (headers: HeaderList): string[] => hostCalls(outbound.exchange({ requestHeaders: headers }));
    expect(exchange([[ID, 'a']])).toEqual([...lookUp, 'set_shared_data', 'replace_header_map_value']);
    expect(exchange([[ID, 'a']])).toEqual([...lookUp, 'replace_header_map_value']);
    expect(
      exchange([
        [TAG, 'dev1'],
        [ID, 'a'],
      ]),
    ).toEqual([read]);
    start({ leakSample: 0 });
    expect(exchange([[ID, 'b']])).toEqual(lookUp);
  });

  it('are tried four times, then the request goes on without', () => {
    host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch });
    const stream = arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(hostCalls(stream).filter((name) => name === 'set_shared_data')).toHaveLength(4);
    stream.end();
    host.faults.clear();
    expect(counted()).toEqual({ cas_exhausted: 1 });
    expect(call([[ID, 'a']])).toBeUndefined();
  });

  it('win when only some attempts are lost', () => {
    host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch, times: 3 });
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(call([[ID, 'a']])).toBe('dev1');
    expect(counted()).toMatchObject({ stored: 1, hit: 1 });
  });
});

describe('memory', () => {
  it('is all taken when the filter is configured, and shared by all VMs', () => {
    const keys = host.sharedData.keys('causeway').length;
    expect(keys).toBe(BUCKETS + 256 + 3);
    expect(host.sharedData.bytes('causeway')).toBe(
      BUCKETS * (680 + 17) + 256 * (136 + 18) + (12 + 16) + (11 + 1) + (15 + 1),
    );
    const before = host.sharedData.bytes('causeway');
    vm('inbound');
    for (let i = 0; i < 5000; i++)
      arrive([
        [TAG, 'd'.repeat(63)],
        [ID, `id ${i}`],
      ]);
    expect(host.sharedData.keys('causeway')).toHaveLength(keys);
    expect(host.sharedData.bytes('causeway')).toBe(before);
  });

  it('survives a new configuration, with what was learnt', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    expect(outbound.reconfigure({ direction: 'outbound', ...SMALL, ttlSeconds: 5 }).configured).toBe(true);
    expect(call([[ID, 'a']])).toBe('dev1');
  });

  it('is not used at all in baggage mode', () => {
    start({ mode: 'baggage' });
    expect(host.sharedData.keys('causeway')).toEqual([]);
  });

  it('holds honest ids against a flood of ids that nobody asks for', () => {
    const honest = Array.from({ length: 64 }, (_, i) => `honest ${i}`);
    for (const id of honest) {
      const stream = arrive([
        [TAG, 'dev1'],
        [ID, id],
      ]);
      call([[ID, id]]);
      stream.end();
    }
    for (let i = 0; i < 20_000; i++) {
      arrive([
        [TAG, 'evil'],
        [ID, `flood ${i}`],
      ]).end();
      host.clock.advance(0.1);
    }
    expect(honest.filter((id) => call([[ID, id]]) === 'dev1')).toHaveLength(64);
    expect(counted().evicted_live).toBeGreaterThan(15_000);
  });
});

describe('baggage mode', () => {
  beforeEach(() => start({ mode: 'baggage', baggageKey: 'lane' }));

  function packed(headers: HeaderList): string | undefined {
    return arrive(headers).requestHeaderMap.get('baggage');
  }

  it('hands the tag to the application in baggage and takes it back', () => {
    expect(packed([[TAG, 'dev1']])).toBe('lane=dev1');
    expect(
      packed([
        [TAG, 'dev1'],
        ['baggage', 'a=b'],
      ]),
    ).toBe('lane=dev1,a=b');
    expect(call([['baggage', 'a=b, lane=dev1;p=1']])).toBe('dev1');
    expect(call([['baggage', 'lane=de%76%31']])).toBe('dev1');
    expect(call([])).toBeUndefined();
    expect(counted()).toEqual({ stored: 2, hit: 2, miss: 1 });
  });

  it('believes no member that came without the tag header', () => {
    expect(packed([['baggage', 'lane=dev2']])).toBeUndefined();
    expect(packed([['baggage', 'a=b,lane=dev2']])).toBe('a=b');
    expect(
      packed([
        [TAG, 'dev1'],
        ['baggage', 'lane=dev2'],
      ]),
    ).toBe('lane=dev1');
  });

  it('lets an explicit tag win', () => {
    expect(
      call([
        [TAG, 'dev2'],
        ['baggage', 'lane=dev1'],
      ]),
    ).toBe('dev2');
  });

  it('takes 2 host calls inbound, 3 where baggage changes, and 3 outbound', () => {
    const read = 'get_header_map_value';
    expect(
      hostCalls(
        arrive([
          [TAG, 'dev1'],
          ['baggage', 'lane=dev1'],
        ]),
      ),
    ).toEqual([read, read]);
    expect(hostCalls(arrive([[TAG, 'dev1']]))).toEqual([read, read, 'replace_header_map_value']);
    expect(hostCalls(arrive([['baggage', 'lane=dev1']]))).toEqual([read, read, 'remove_header_map_value']);
    const stream = outbound.exchange({ requestHeaders: [['baggage', 'lane=dev1']] });
    expect(hostCalls(stream)).toEqual([read, read, 'replace_header_map_value']);
  });
});

/** One test for each row of "Bad input" in the filter's README, under the same words. */
describe('bad input', () => {
  it('tag empty, repeated or no label value', () => {
    for (const tag of ['dev 1', 'dev1,dev2', '-dev', 'd'.repeat(64), 'd\xe9v', '../x']) {
      arrive([
        [TAG, tag],
        [ID, 'a'],
      ]);
    }
    arrive([
      [TAG, 'dev1'],
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    arrive([
      [TAG, ''],
      [ID, 'a'],
    ]);
    expect(call([[ID, 'a']])).toBeUndefined();
    expect(counted()).toMatchObject({ invalid_tag: 7 });
    expect(counted()).not.toHaveProperty('stored');
  });

  it('trace header missing, empty, repeated or malformed', () => {
    start({ sources: [{ header: ID }, { header: 'traceparent' }], leakSample: 1 });
    for (const headers of [
      [],
      [[ID, '']],
      [
        [ID, 'a'],
        [ID, 'b'],
      ],
      [['traceparent', '00-zz']],
    ] as HeaderList[]) {
      arrive([[TAG, 'dev1'], ...headers]);
      expect(call(headers)).toBeUndefined();
    }
    expect(counted()).toEqual({ 'leaked.reason.no_id': 4 });
  });

  it('trace id of 60 kB', () => {
    const long = 'x'.repeat(60_000);
    arrive([
      [TAG, 'dev1'],
      [ID, long],
    ]);
    expect(call([[ID, long]])).toBe('dev1');
    expect(call([[ID, `${long.slice(1)}y`]])).toBeUndefined();
  });

  it('bytes that are no text', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, '\x80\xff\xfe%00'],
    ]);
    expect(call([[ID, '\x80\xff\xfe%00']])).toBe('dev1');
    expect(call([[ID, '\x80\xff\xfd%00']])).toBeUndefined();
  });

  it('baggage malformed, contradictory or beyond its limits', () => {
    start({ mode: 'baggage', baggageKey: 'lane' });
    expect(call([['baggage', 'lane=dev%zz']])).toBeUndefined();
    expect(call([['baggage', 'lane=dev1,lane=dev2']])).toBeUndefined();
    expect(call([['baggage', 'lane=no tag']])).toBeUndefined();
    expect(call([['baggage', 'lane']])).toBeUndefined();
    const long = Array.from({ length: 500 }, (_, i) => `key${i}=value${i}`).join(',');
    const written =
      arrive([
        [TAG, 'dev1'],
        ['baggage', long],
      ]).requestHeaderMap.get('baggage') ?? '';
    expect(written.length).toBeLessThanOrEqual(8192);
    expect(written.startsWith('lane=dev1,key0=value0,')).toBe(true);
    expect(counted()).toMatchObject({ miss: 4, invalid_tag: 1, baggage_dropped: 321 });
  });

  it('shared data that another program wrote', () => {
    for (const key of host.sharedData.keys('causeway').filter((name) => /\/(\d\d|recent)\//.test(name))) {
      host.sharedData.set('causeway', key, key.endsWith('0') ? '' : 'x'.repeat(680), 0);
    }
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    arrive([[ID, 'b']]);
    expect(call([[ID, 'a']])).toBe('dev1');
    expect(call([[ID, 'b']])).toBeUndefined();
  });

  it('host that refuses shared data', () => {
    host.faults.plan({ call: 'proxy_get_shared_data', status: Status.InternalFailure });
    host.faults.plan({ call: 'proxy_set_shared_data', status: Status.InternalFailure });
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]).end();
    expect(call([[ID, 'a']])).toBeUndefined();
    expect(counted()).toMatchObject({ cas_exhausted: 1, miss: 1 });
  });

  it('clock that jumps', () => {
    arrive([
      [TAG, 'dev1'],
      [ID, 'a'],
    ]);
    host.clock.advance(20 * 86_400_000);
    expect(call([[ID, 'a']]), 'long after the pin').toBeUndefined();
    arrive([
      [TAG, 'dev2'],
      [ID, 'a'],
    ]);
    // The low 32 bits of the milliseconds start again: what is left must still be told from what has passed.
    host.clock.advance(2 ** 32 - (host.clock.ms % 2 ** 32) - 10);
    arrive([
      [TAG, 'dev3'],
      [ID, 'b'],
    ]);
    host.clock.advance(20);
    expect(call([[ID, 'b']])).toBe('dev3');
  });

  it('configuration with an unknown key, a wrong type or a bound passed', () => {
    for (const [options, path] of [
      [{ entires: 1024 }, 'entires'],
      [{ entries: 1000 }, 'entries'],
      [{ ttlSeconds: 0 }, 'ttlSeconds'],
      [{ sources: [] }, 'sources'],
      [{ sources: [{ header: 'a b' }] }, 'sources[0].header'],
      [{ sources: [{ header: 'a', format: 'b4' }] }, 'sources[0].format'],
      [{ direction: 'sideways' }, 'direction'],
    ] as const) {
      host = new EmulatedHost(module);
      const refused = vm('inbound', options);
      expect(refused.configured, JSON.stringify(options)).toBe(false);
      expect(host.messages(LogLevel.Critical).join()).toContain(`trace-propagation.${path}: found `);
    }
  });
});
