import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LogLevel, Status } from '../emulator/index.ts';
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

describe('baggage mode', () => {
  beforeEach(() => use({ mode: 'baggage', baggageKey: 'lane' }));

  function packed(headers: Headers): string | undefined {
    return sidecar.arrive(headers).requestHeaderMap.get('baggage');
  }

  it('hands the tag to the application in baggage and takes it back', () => {
    expect(packed({ [TAG]: 'dev1' })).toBe('lane=dev1');
    expect(packed({ [TAG]: 'dev1', baggage: 'a=b' })).toBe('lane=dev1,a=b');
    expect(sidecar.call({ baggage: 'a=b, lane=dev1;p=1' })).toBe('dev1');
    expect(sidecar.call({ baggage: 'lane=de%76%31' })).toBe('dev1');
    expect(sidecar.call([])).toBeUndefined();
    expect(sidecar.counted()).toEqual({ stored: 2, hit: 2, miss: 1 });
  });

  it('believes no member that came without the tag header', () => {
    expect(packed({ baggage: 'lane=dev2' })).toBeUndefined();
    expect(packed({ baggage: 'a=b,lane=dev2' })).toBe('a=b');
    expect(packed({ [TAG]: 'dev1', baggage: 'lane=dev2' })).toBe('lane=dev1');
  });

  it('keeps what stands in a second baggage header', () => {
    const stream = sidecar.arrive([
      [TAG, 'dev1'],
      ['baggage', 'a=b'],
      ['baggage', 'c=d'],
    ]);
    expect(stream.requestHeaderMap.values('baggage')).toEqual(['lane=dev1,a=b,c=d']);
  });

  it('lets an explicit tag win', () => {
    expect(sidecar.call({ [TAG]: 'dev2', baggage: 'lane=dev1' })).toBe('dev2');
  });

  it('takes 2 host calls inbound, 3 where baggage changes, and 3 outbound', () => {
    const reads = ['get_header_map_pairs', 'get_property'];
    expect(hostCalls(sidecar.arrive({ [TAG]: 'dev1', baggage: 'lane=dev1' }))).toEqual(reads);
    expect(hostCalls(sidecar.arrive({ [TAG]: 'dev1' }))).toEqual([...reads, 'replace_header_map_value']);
    expect(hostCalls(sidecar.arrive({ baggage: 'lane=dev1' }))).toEqual([...reads, 'remove_header_map_value']);
    const stream = sidecar.exchange({ baggage: 'lane=dev1' });
    expect(hostCalls(stream)).toEqual([...reads, 'add_header_map_value']);
  });
});

/** One test for each row of "Bad input" in the filter's README, under the same words. */
describe('bad input', () => {
  it('tag empty or no label value', () => {
    for (const tag of ['dev 1', 'dev1,dev2', '-dev', 'd'.repeat(64), 'd\xe9v', '../x']) {
      sidecar.arrive({ [TAG]: tag, [ID]: 'a' });
    }
    sidecar.arrive({ [TAG]: '', [ID]: 'a' });
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
    expect(sidecar.counted()).toMatchObject({ invalid_tag: 6 });
    expect(sidecar.counted()).not.toHaveProperty('stored');
  });

  it('trace header missing, empty or malformed', () => {
    use({ sources: [{ header: ID }, { header: 'traceparent' }], leakSample: 1 });
    for (const headers of [{}, { [ID]: '' }, { traceparent: '00-zz' }, { [ID]: ' ', traceparent: '' }]) {
      sidecar.arrive({ [TAG]: 'dev1', ...headers });
      expect(sidecar.call(headers)).toBeUndefined();
    }
    expect(sidecar.counted()).toEqual({ 'leaked.reason.no_id': 4 });
  });

  it('header repeated', () => {
    use({ sources: [{ header: ID }, { header: 'x-trace' }] });
    const twice: Headers = [
      [ID, 'a'],
      [ID, 'b'],
    ];
    sidecar.arrive([[TAG, 'dev1'], ...twice]);
    expect(sidecar.call(twice), 'a request id that Envoy has joined').toBeUndefined();
    sidecar.arrive([
      [TAG, 'dev1'],
      [TAG, 'dev2'],
      [ID, 'e'],
    ]);
    expect(sidecar.call({ [ID]: 'e' }), 'a tag that may be either').toBeUndefined();
    sidecar.arrive([
      [TAG, 'dev1'],
      ['x-trace', 'c'],
      ['x-trace', 'd'],
    ]);
    expect(sidecar.call({ 'x-trace': 'c' }), 'the first of other ids').toBe('dev1');
    expect(sidecar.call({ 'x-trace': 'd' })).toBeUndefined();
    expect(sidecar.counted()).toMatchObject({ invalid_tag: 1 });
  });

  it('trace id of 60 kB', () => {
    const long = 'x'.repeat(60_000);
    sidecar.arrive({ [TAG]: 'dev1', [ID]: long });
    expect(sidecar.call({ [ID]: long })).toBe('dev1');
    expect(sidecar.call({ [ID]: `${long.slice(1)}y` })).toBeUndefined();
  });

  it('bytes that are no text', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: '\x80\xff\xfe%00' });
    expect(sidecar.call({ [ID]: '\x80\xff\xfe%00' })).toBe('dev1');
    expect(sidecar.call({ [ID]: '\x80\xff\xfd%00' })).toBeUndefined();
  });

  it('baggage malformed, contradictory or beyond its limits', () => {
    use({ mode: 'baggage', baggageKey: 'lane' });
    expect(sidecar.call({ baggage: 'lane=dev%zz' })).toBeUndefined();
    expect(sidecar.call({ baggage: 'lane=dev1,lane=dev2' })).toBeUndefined();
    expect(sidecar.call({ baggage: 'lane=no tag' })).toBeUndefined();
    expect(sidecar.call({ baggage: 'lane' })).toBeUndefined();
    const long = Array.from({ length: 500 }, (_, i) => `key${i}=value${i}`).join(',');
    const written = sidecar.arrive({ [TAG]: 'dev1', baggage: long }).requestHeaderMap.get('baggage') ?? '';
    expect(written.length).toBeLessThanOrEqual(8192);
    expect(written.startsWith('lane=dev1,key0=value0,')).toBe(true);
    expect(sidecar.counted()).toMatchObject({ miss: 4, invalid_tag: 1, baggage_dropped: 321 });
  });

  it('shared data that another program wrote', () => {
    for (const key of sidecar.host.sharedData.keys('causeway').filter((name) => /\/(\d\d|recent)\//.test(name))) {
      sidecar.host.sharedData.set('causeway', key, key.endsWith('0') ? '' : 'x'.repeat(680), 0);
    }
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.arrive({ [ID]: 'b' });
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    expect(sidecar.call({ [ID]: 'b' })).toBeUndefined();
  });

  it('host that refuses shared data', () => {
    sidecar.host.faults.plan({ call: 'proxy_get_shared_data', status: Status.InternalFailure });
    sidecar.host.faults.plan({ call: 'proxy_set_shared_data', status: Status.InternalFailure });
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' }).end();
    expect(sidecar.call({ [ID]: 'a' })).toBeUndefined();
    expect(sidecar.counted()).toMatchObject({ cas_exhausted: 1, miss: 1 });
  });

  it('request that never ends', () => {
    sidecar.arrive({ [TAG]: 'dev1', [ID]: 'a' });
    sidecar.host.clock.advance(599_000);
    expect(sidecar.call({ [ID]: 'a' })).toBe('dev1');
    sidecar.host.clock.advance(60_000);
    expect(sidecar.call({ [ID]: 'a' }), 'maxPinSeconds have passed').toBeUndefined();
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
      const refused = sidecar.vm('inbound', options as Record<string, unknown>);
      expect(refused.configured, JSON.stringify(options)).toBe(false);
      expect(sidecar.host.messages(LogLevel.Critical).join()).toContain(`trace-propagation.${path}: found `);
    }
  });

  it('is what the README says it is, row by row', async () => {
    const readme = await readFile(new URL('../../filters/trace-propagation/README.md', import.meta.url), 'utf8');
    const own = await readFile(import.meta.filename, 'utf8');
    const table = readme.split('## Bad input')[1]?.split('##')[0] ?? '';
    const rows = [...table.matchAll(/^\| (.+?) \|/gm)].map((row) => row[1] ?? '').slice(2);
    expect(rows.length).toBeGreaterThan(8);
    expect(rows.filter((row) => !own.includes(`  it('${row}',`))).toEqual([]);
  });
});
