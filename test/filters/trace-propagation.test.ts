import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Status } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { type Headers, hostCalls, ID, Sidecar, TAG } from './trace-sidecar.ts';

let module: Uint8Array<ArrayBuffer>;
let sidecar: Sidecar;

function use(options: Record<string, unknown> = {}): void {
  sidecar = new Sidecar(module, options);
}

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

beforeEach(() => use());

const TTL_MS = 30_000;
const MAX_LEASE_MS = 16_000;
const BUCKETS = 128;

describe('the tag crosses an application that forwards only the trace id', () => {
  it('is learnt inbound and added outbound', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    expect(sidecar.call({ [ID]: 'b' })).toBeUndefined();
    expect(sidecar.counted()).toMatchObject({ stored: 1, hit: 1, miss: 1, pinned: 1 });
  });

  it('is remembered while the request lasts and for ttl after it, whatever happened before', () => {
    const stream = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.host.clock.advance(TTL_MS * 3);
    stream.responseHeaders();
    stream.end();
    sidecar.host.clock.advance(TTL_MS - 1);
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    sidecar.host.clock.advance(TTL_MS + MAX_LEASE_MS);
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
    expect(sidecar.counted()).not.toHaveProperty('pinned');
  });

  it('costs nothing more when the request ends, answered or reset', () => {
    const first = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    const second = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    first.reset();
    expect(sidecar.counted()).toMatchObject({ stored: 1, refreshed: 1, pinned: 1 });
    sidecar.host.clock.advance(TTL_MS * 2);
    expect(sidecar.call({ [ID]: 'a' }), 'the second request is still in flight').toBe('dev1');
    second.reset();
    expect(hostCalls(second, 'proxy_on_log')).toEqual([]);
    sidecar.host.clock.advance(TTL_MS + MAX_LEASE_MS + 1);
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
  });

  it('is renewed in time, and ever more seldom', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    const renewals = (ms: number): number => {
      sidecar.host.calls.reset();
      sidecar.host.clock.advance(ms);
      return sidecar.host.calls.records().filter(({ name }) => name === 'proxy_set_shared_data').length;
    };
    expect(renewals(2_400), 'within the first lease').toBe(1);
    expect(renewals(600_000 - 2_400)).toBeLessThan(90);
    // `maxPinSeconds` have passed.
    expect(renewals(60_000)).toBe(0);
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
    expect(sidecar.counted()).not.toHaveProperty('pinned');
  });

  it('is renewed for streams of an old configuration', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.inbound.reconfigure({ direction: 'inbound', entries: 1024 });
    sidecar.host.clock.advance(TTL_MS * 2);
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
  });

  it('is given up where it could not be renewed', () => {
    const stream = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch });
    sidecar.host.clock.advance(2_000);
    sidecar.host.faults.clear();
    expect(sidecar.counted()).toMatchObject({ cas_exhausted: 1, pinned: 1 });
    stream.reset();
    expect(sidecar.counted()).not.toHaveProperty('pinned');
    sidecar.host.clock.advance(TTL_MS * 2);
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
  });

  it('is left alone where the application forwards it', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(sidecar.call({ [TAG]: 'dev2', [ID]: 'a' })).toBe('dev2');
    expect(sidecar.counted()).toMatchObject({ explicit: 1 });
    expect(sidecar.counted()).not.toHaveProperty('hit');
  });

  it('survives the digit that tracing rewrites, either way round', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: '8f14e45f-ceea-41d4-a716-446655440000' });
    expect(sidecar.call({ [ID]: '8f14e45f-ceea-91d4-a716-446655440000' })).toBe('dev1');
    sidecar.arrive({ [TAG]: 'dev2', [ID]: '7f14e45f-ceea-91d4-a716-446655440000' });
    expect(sidecar.call({ [ID]: '7F14E45F-CEEA-41D4-A716-446655440000' })).toBe('dev2');
  });

  it('works over any of the configured sources, learnt from one and asked by another', () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    use({
      sources: [
        { header: 'X-Request-Id' },
        { header: 'traceparent' },
        { header: 'b3' },
        { header: 'x-trace', format: 'b3-traceid' },
      ],
    });
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a', traceparent: `00-${trace}-00f067aa0ba902b7-01` });
    expect(sidecar.call({ [ID]: 'fresh', traceparent: `00-${trace}-1111111111111111-00` })).toBe('dev1');
    expect(sidecar.call({ b3: `${trace}-00f067aa0ba902b7-1` })).toBe('dev1');
    expect(sidecar.call({ 'x-trace': trace.toUpperCase() })).toBe('dev1');
    expect(sidecar.counted()).toMatchObject({ stored: 2, hit: 3 });
  });

  it('takes sw8 and uber-trace-id by their names', () => {
    use({ sources: [{ header: 'sw8' }, { header: 'uber-trace-id' }, { header: 'x-b3-traceid' }] });
    sidecar.arrive({ [TAG]: 'dev1', sw8: '1-dHJhY2UuMS4y-c2Vn-3-c3Zj-aW5z-L2E=-MTI3LjAuMC4xOjgw' });
    expect(sidecar.call({ sw8: '0-dHJhY2UuMS4y-b3RoZXI=-1' })).toBe('dev1');
    sidecar.arrive({ [TAG]: 'dev2', 'uber-trace-id': '3ab:1:0:1' });
    expect(sidecar.call({ 'uber-trace-id': '3ab%3A2%3A1%3A1' })).toBe('dev2');
    expect(sidecar.call({ 'x-b3-traceid': '00000000000003ab' })).toBe('dev2');
  });

  it('uses the configured tag header', () => {
    use({ tagHeader: 'X-Lane' });
    sidecar.arrive({ 'x-lane': 'dev1', [ID]: 'a' });
    const stream = sidecar.exchange({ [ID]: 'a' });
    expect(stream.requestHeaderMap.get('x-lane')).toBe('dev1');
  });

  it('is shared by every worker', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' }, sidecar.vm('inbound'));
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
  });
});

describe('two tags for one id', () => {
  it('keep the first while its request runs, then take the last', () => {
    const first = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.arrive({ [TAG]: 'dev2', [ID]: 'a' }).reset();
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    first.reset();
    sidecar.host.clock.advance(5_000);
    sidecar.arrive({ [TAG]: 'dev2', [ID]: 'a' });
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev2');
    expect(sidecar.counted()).toMatchObject({ 'conflict.kind.kept': 1, 'conflict.kind.replaced': 1 });
  });
});

describe('lost propagation', () => {
  it('is told from untagged traffic', () => {
    use({ leakSample: 1 });
    sidecar.arrive({ [ID]: 'a' });
    sidecar.call({ [ID]: 'a' });
    sidecar.call({ [ID]: 'never seen' });
    sidecar.call([]);
    expect(sidecar.counted()).toEqual({
      miss: 2,
      untagged: 1,
      'leaked.reason.unknown_id': 1,
      'leaked.reason.no_id': 1,
    });
  });

  it('remembers untagged ids for one to two ttl', () => {
    use({ leakSample: 1 });
    sidecar.arrive({ [ID]: 'a' });
    sidecar.host.clock.advance(TTL_MS);
    sidecar.call({ [ID]: 'a' });
    sidecar.host.clock.advance(TTL_MS);
    sidecar.call({ [ID]: 'a' });
    expect(sidecar.counted()).toMatchObject({ untagged: 1, 'leaked.reason.unknown_id': 1 });
  });

  it('is watched on a sample that stands for all', () => {
    use({ leakSample: 8 });
    for (let i = 0; i < 4000; i++) sidecar.call({ [ID]: `id ${i}` });
    const { 'leaked.reason.unknown_id': leaked } = sidecar.counted();
    expect(leaked).toBeGreaterThan(3200);
    expect(leaked).toBeLessThan(4800);
    expect((leaked ?? 0) % 8).toBe(0);
  });

  it('costs untagged requests nothing when it is off', () => {
    use({ leakSample: 0 });
    expect(hostCalls(sidecar.arrive({ [ID]: 'a' }))).toEqual(['get_header_map_pairs']);
    sidecar.call({ [ID]: 'a' });
    expect(sidecar.counted()).toEqual({ miss: 1 });
  });
});

describe('host calls', () => {
  const reads = ['get_header_map_pairs'];
  const update = ['get_shared_data', 'set_shared_data'];

  it('are 4 for a tagged request inbound and none when it ends', () => {
    const stream = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(hostCalls(stream)).toEqual([...reads, 'get_current_time_nanoseconds', ...update]);
    stream.end();
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([]);
    expect(hostCalls(stream, 'proxy_on_delete')).toEqual([]);
  });

  it('are 1 for an untagged request inbound, 4 when its id is watched, none when it ends', () => {
    const unwatched = Array.from({ length: 64 }, (_, i) => sidecar.arrive({ [ID]: `id ${i}` })).filter(
      (stream) => hostCalls(stream).length === 1,
    );
    expect(unwatched.length).toBeGreaterThan(48);
    use({ leakSample: 1 });
    const stream = sidecar.arrive({ [ID]: 'a' });
    expect(hostCalls(stream)).toEqual([...reads, 'get_current_time_nanoseconds', ...update]);
    stream.end();
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([]);
  });

  it('are 5 for the first hit outbound, 4 for later ones, 3 or 4 for a miss, 1 with a tag', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    const lookUp = [...reads, 'get_current_time_nanoseconds', 'get_shared_data'];
    const exchange = (headers: Headers): string[] => hostCalls(sidecar.exchange(headers));
    expect(exchange({ [ID]: 'a' })).toEqual([...lookUp, 'set_shared_data', 'add_header_map_value']);
    expect(exchange({ [ID]: 'a' })).toEqual([...lookUp, 'add_header_map_value']);
    expect(exchange({ [TAG]: 'dev1', [ID]: 'a' })).toEqual(reads);
    use({ leakSample: 0 });
    expect(exchange({ [ID]: 'b' })).toEqual(lookUp);
    use({ leakSample: 1 });
    expect(exchange({ [ID]: 'b' })).toEqual([...lookUp, 'get_shared_data']);
  });

  it('are tried four times, then the request goes on without', () => {
    sidecar.host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch });
    const stream = sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(hostCalls(stream).filter((name) => name === 'set_shared_data')).toHaveLength(4);
    stream.end();
    sidecar.host.faults.clear();
    expect(sidecar.counted()).toEqual({ cas_exhausted: 1 });
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
  });

  it('win when only some attempts are lost', () => {
    sidecar.host.faults.plan({ call: 'proxy_set_shared_data', status: Status.CasMismatch, times: 3 });
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    expect(sidecar.counted()).toMatchObject({ stored: 1, hit: 1 });
  });
});

describe('memory', () => {
  it('is all taken when the filter is configured, and shared by all VMs', () => {
    const keys = sidecar.host.sharedData.keys('causeway').length;
    expect(keys).toBe(BUCKETS + 256 + 3);
    expect(sidecar.host.sharedData.bytes('causeway')).toBe(
      BUCKETS * (680 + 17) + 256 * (136 + 18) + (12 + 16) + (11 + 1) + (15 + 1),
    );
    const before = sidecar.host.sharedData.bytes('causeway');
    sidecar.vm('inbound');
    for (let i = 0; i < 5000; i++)
      sidecar.arrive([
        [TAG, 'd'.repeat(63)],
        [ID, `id ${i}`],
      ]);
    expect(sidecar.host.sharedData.keys('causeway')).toHaveLength(keys);
    expect(sidecar.host.sharedData.bytes('causeway')).toBe(before);
  });

  it('survives a new configuration, with what was learnt', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    expect(sidecar.outbound.reconfigure({ direction: 'outbound', entries: 1024, ttlSeconds: 5 }).configured).toBe(true);
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
  });

  it('is not used at all in baggage mode', () => {
    use({ mode: 'baggage' });
    expect(sidecar.host.sharedData.keys('causeway')).toEqual([]);
  });

  it('holds honest ids against a flood of ids that nobody asks for', () => {
    const honest = Array.from({ length: 64 }, (_, i) => `honest ${i}`);
    for (const id of honest) {
      const stream = sidecar.arrive({ [TAG]: 'dev1', [ID]: id });
      sidecar.call({ [ID]: id });
      stream.end();
    }
    for (let i = 0; i < 20_000; i++) {
      sidecar.arrive({ [TAG]: 'evil', [ID]: `flood ${i}` }).end();
      sidecar.host.clock.advance(0.1);
    }
    expect(honest.filter((id) => sidecar.call({ [ID]: id }) === 'dev1')).toHaveLength(64);
    expect(sidecar.counted().evicted_live).toBeGreaterThan(15_000);
  });
});
