import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeList, encodeList } from '../bench/fallback-retry/fallback-list.ts';
import { EmulatedHost, type HeaderList, type HttpStream, type Properties, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const TAG = 'x-asm-traffic-lane';
const LIST = 'x-causeway-fallback-list';
const LANE = 'x-causeway-lane';
const STRICT = 'x-causeway-strict';
const COUNTER = 'causeway_lane_fallback_';

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 120_000);

const LANES = [
  { name: 'dev1' },
  { name: 'gold', mode: 'strict' },
  { name: 'transfer', chain: ['GROUP_2', 'base'] },
  { name: 'island', chain: ['reef'] },
];
const SERVICES = [
  { name: 'reviews', authorities: ['reviews', 'reviews:9080'] },
  { name: 'ratings', authorities: ['ratings:9080'], shards: 4, lanes: [{ name: 'dev1', chain: ['dev2', 'base'] }] },
];

/** One sidecar's outbound (or other) side. */
class Side {
  readonly host: EmulatedHost;
  readonly vm: Vm;
  readonly stages: number;
  readonly baseline: string;

  constructor(section: Record<string, unknown>) {
    this.stages = Number(section.stages ?? 1);
    this.baseline = String(section.baseline ?? 'base');
    this.host = new EmulatedHost(module);
    const configuration = { direction: 'outbound', lanes: LANES, services: SERVICES, ...section };
    this.vm = this.host.vm({ rootId: 'lane-fallback', configuration });
  }

  /** A whole exchange; `served` is the host's `envoy.lb` metadata, null when none answered. */
  exchange(headers: Record<string, string>, host: Properties | null = { 'envoy.lb': { lane: 'base' } }): HttpStream {
    const requestHeaders: HeaderList = Object.entries({ ':authority': 'reviews:9080', ...headers });
    const properties: Properties = host === null ? {} : { 'xds.upstream_host_metadata': { filter_metadata: host } };
    return this.vm.exchange({ requestHeaders, properties });
  }

  /**
   * What is asked of the load balancer; undefined: nothing, so the route's default holds. A lane by its name means
   * the route's own list: that lane, then the baseline at every stage, or nothing on the strict route.
   */
  list(headers: Record<string, string>): Record<string, string>[] | undefined {
    const sent = this.exchange(headers).requestHeaderMap;
    const lane = sent.get(LANE);
    const value = sent.get(LIST);
    expect(lane === undefined || value === undefined, 'never both').toBe(true);
    if (lane !== undefined) {
      if (sent.get(STRICT) !== undefined) return [{ lane }];
      const stages = Array.from({ length: this.stages }, (_, i) => ({
        [i === 0 ? 'lane' : `lane${i + 1}`]: this.baseline,
      }));
      return [{ lane }, ...stages];
    }
    if (value === undefined) return undefined;
    const list = decodeList(value);
    expect(value, 'the same bytes as an independent encoder').toBe(encodeList(list));
    return list as Record<string, string>[];
  }

  counted(): Record<string, number> {
    this.vm.root.tick();
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length), value]));
  }
}

const lanes = (...names: string[]) => names.map((lane) => ({ lane }));

describe('the chain', () => {
  it('is the lane and then the baseline, also for a lane that nobody has configured', () => {
    const side = new Side({});
    expect(side.list({ [TAG]: 'dev1' })).toEqual(lanes('dev1', 'base'));
    expect(side.list({ [TAG]: 'unheard.of-1' })).toEqual(lanes('unheard.of-1', 'base'));
    expect(side.list({ [TAG]: 'x'.repeat(63) })).toEqual(lanes('x'.repeat(63), 'base'));
  });

  it('is the configured one, at every stage', () => {
    const side = new Side({ stages: 2 });
    expect(side.list({ [TAG]: 'transfer' })).toEqual([
      ...lanes('transfer', 'GROUP_2', 'base'),
      { lane2: 'GROUP_2' },
      { lane2: 'base' },
    ]);
    expect(side.list({ [TAG]: 'dev1' })).toEqual([...lanes('dev1', 'base'), { lane2: 'base' }]);
    expect(side.list({ [TAG]: 'nobody' })).toEqual([...lanes('nobody', 'base'), { lane2: 'base' }]);
  });

  it('is left to the route for untagged requests and for the baseline itself', () => {
    const side = new Side({});
    expect(side.list({})).toBeUndefined();
    expect(side.list({ [TAG]: 'base' })).toBeUndefined();
    expect(side.list({ [TAG]: '' })).toBeUndefined();
  });

  it('does not carry what is no tag', () => {
    const side = new Side({});
    for (const tag of ['dev1, dev2', '-dev', 'dev/1', 'x'.repeat(64), 'd\u00e9v', 'a b']) {
      expect(side.list({ [TAG]: tag }), tag).toBeUndefined();
    }
    expect(side.counted()).toMatchObject({ invalid_tag_total: 6 });
  });

  it('keeps a strict lane, and any chain without the baseline, to itself', () => {
    const side = new Side({ stages: 2 });
    const gold = side.exchange({ [TAG]: 'gold' }).requestHeaderMap;
    expect(decodeList(gold.get(LIST) ?? '')).toEqual([{ lane: 'gold' }, { lane2: 'gold' }]);
    expect(gold.get(STRICT)).toBe('1');
    const island = side.exchange({ [TAG]: 'island' }).requestHeaderMap;
    expect(decodeList(island.get(LIST) ?? '')).toEqual([...lanes('island', 'reef'), { lane2: 'reef' }]);
    expect(island.get(STRICT)).toBe('1');
    expect(side.exchange({ [TAG]: 'dev1' }).requestHeaderMap.get(STRICT)).toBeUndefined();
  });

  it('differs by service, whatever the letter case of the authority', () => {
    const side = new Side({});
    for (const authority of ['ratings:9080', 'Ratings:9080']) {
      expect(side.list({ ':authority': authority, [TAG]: 'dev1' })).toEqual(lanes('dev1', 'dev2', 'base'));
    }
    expect(side.list({ ':authority': 'ratings', [TAG]: 'dev1' })).toEqual(lanes('dev1', 'base'));
  });

  it('uses the configured tag header and baseline', () => {
    const side = new Side({ tagHeader: 'X-Lane', baseline: 'main', lanes: [], services: [] });
    expect(side.list({ 'x-lane': 'dev1' })).toEqual(lanes('dev1', 'main'));
    expect(side.list({ 'x-lane': 'main' })).toBeUndefined();
  });

  it('is the same with a thousand lanes', () => {
    const many = Array.from({ length: 1000 }, (_, n) => ({ name: `lane-${n}`, chain: [`next-${n}`, 'base'] }));
    const side = new Side({ lanes: many });
    for (const n of [0, 1, 499, 999]) {
      expect(side.list({ [TAG]: `lane-${n}` })).toEqual(lanes(`lane-${n}`, `next-${n}`, 'base'));
    }
  });
});

describe('shards', () => {
  const toRatings = { ':authority': 'ratings:9080' };
  const sharded = (...names: string[]) => names.flatMap((lane) => [{ lane, shard: '2' }, { lane }]);

  it('come first, lane by lane, also for untagged requests', () => {
    const side = new Side({ shard: 6 });
    expect(side.list({ ...toRatings, [TAG]: 'dev1' })).toEqual(sharded('dev1', 'dev2', 'base'));
    expect(side.list({ ...toRatings, [TAG]: 'dev7' })).toEqual(sharded('dev7', 'base'));
    expect(side.list(toRatings)).toEqual(sharded('base'));
    expect(side.list({ [TAG]: 'dev1' }), 'a service without shards').toEqual(lanes('dev1', 'base'));
  });
});

describe('steering', () => {
  const trace = (n: number) => ({ 'x-request-id': `trace-${n}` });

  it('sends a sticky share elsewhere', () => {
    const side = new Side({ steering: [{ name: 'ten', percent: 10, to: [{ lanes: ['canary', 'base'] }] }] });
    const again = new Side({ steering: [{ name: 'ten', percent: 10, to: [{ lanes: ['canary', 'base'] }] }] });
    let steered = 0;
    for (let n = 0; n < 2000; n++) {
      const list = side.list(trace(n));
      expect(again.list(trace(n))).toEqual(list);
      if (list === undefined) continue;
      expect(list).toEqual(lanes('canary', 'base'));
      steered++;
    }
    expect(steered).toBeGreaterThan(150);
    expect(steered).toBeLessThan(250);
    expect(side.list({}), 'without a trace id').toBeUndefined();
    expect(side.counted()['steered_total.rule.ten']).toBe(steered);
  });

  it('chooses by service, lane and matcher, the first rule first', () => {
    const side = new Side({
      steering: [
        {
          name: 'interface',
          services: ['reviews'],
          match: { path: { prefix: '/v2/' } },
          to: [{ lanes: ['unit2', 'base'] }],
        },
        { name: 'lane', lanes: ['dev1'], to: [{ lanes: ['dev9', 'base'] }] },
        { name: 'untagged', lanes: ['base'], services: ['ratings'], to: [{ lanes: ['island', 'reef'] }] },
      ],
    });
    expect(side.list({ ':path': '/v2/x', [TAG]: 'dev1' })).toEqual(lanes('unit2', 'base'));
    expect(side.list({ ':path': '/v2/x', ':authority': 'ratings:9080', [TAG]: 'dev1' })).toEqual(lanes('dev9', 'base'));
    expect(side.list({ ':path': '/v1/x', [TAG]: 'dev2' })).toEqual(lanes('dev2', 'base'));
    expect(side.list({ ':path': '/v1/x' })).toBeUndefined();
    const closed = side.exchange({ ':authority': 'ratings:9080' }).requestHeaderMap;
    expect(decodeList(closed.get(LIST) ?? '')).toEqual(lanes('island', 'reef'));
    expect(closed.get(STRICT)).toBe('1');
  });

  it('spreads over several targets, and gathers several lanes in one', () => {
    const side = new Side({
      steering: [
        { name: 'gather', lanes: ['dev1', 'dev2'], to: [{ lanes: ['one', 'base'] }] },
        {
          name: 'spread',
          to: [
            { lanes: ['a', 'base'], weight: 1 },
            { lanes: ['b', 'base'], weight: 3 },
          ],
        },
      ],
    });
    expect(side.list({ [TAG]: 'dev2', ...trace(1) })).toEqual(lanes('one', 'base'));
    const seen: Record<string, number> = {};
    for (let n = 0; n < 2000; n++) {
      const lane = side.list(trace(n))?.[0]?.lane ?? '';
      seen[lane] = (seen[lane] ?? 0) + 1;
    }
    expect(Object.keys(seen).sort()).toEqual(['a', 'b']);
    expect(seen.a).toBeGreaterThan(400);
    expect(seen.a).toBeLessThan(600);
  });

  it('pins to one instance, with the baseline behind it', () => {
    const side = new Side({ steering: [{ name: 'pin', to: [{ instance: 'reviews-base-1' }] }], stages: 2 });
    expect(side.list({ [TAG]: 'dev1' })).toEqual([{ instance: 'reviews-base-1' }, { lane: 'base' }, { lane2: 'base' }]);
    expect(side.exchange({}).requestHeaderMap.get(STRICT)).toBeUndefined();
  });
});

describe('wanted and served', () => {
  it('are counted per edge, with names from the configuration alone', () => {
    const side = new Side({});
    side.exchange({ [TAG]: 'dev1' }, { 'envoy.lb': { lane: 'dev1' }, causeway: { lane: 'dev1' } });
    side.exchange({ [TAG]: 'dev1' }, { 'envoy.lb': { lane: 'base' }, causeway: { lane: 'base' } });
    side.exchange({ [TAG]: 'gold' }, null);
    side.exchange({ [TAG]: 'a.b', ':authority': 'elsewhere' }, { 'envoy.lb': { lane: 'stranger' } });
    side.exchange({}, { 'envoy.lb': { lane: 'base' } });
    expect(side.counted()).toEqual({
      'requests_total.service.reviews.wanted.dev1.served.dev1': 1,
      'requests_total.service.reviews.wanted.dev1.served.base': 1,
      'requests_total.service.reviews.wanted.gold.served.none': 1,
      'requests_total.service.other.wanted.other.served.other': 1,
    });
  });

  it('tell a later try from a passed-over lane', () => {
    const side = new Side({});
    side.exchange({ [TAG]: 'dev1' }, { 'envoy.lb': { last: 'base' }, causeway: { lane: 'base' } });
    expect(side.counted()).toEqual({
      'requests_total.service.reviews.wanted.dev1.served.base': 1,
      'later_try_total.service.reviews': 1,
    });
  });

  it('are counted for all requests, or for none, when asked to', () => {
    const all = new Side({ edges: 'all' });
    all.exchange({});
    expect(all.counted()).toEqual({ 'requests_total.service.reviews.wanted.base.served.base': 1 });
    const none = new Side({ edges: 'none' });
    none.exchange({ [TAG]: 'dev1' });
    expect(none.counted()).toEqual({});
  });
});

describe('redirects', () => {
  const HOP = 'x-causeway-redirected';
  const TOKEN = 'x-causeway-redirect';
  const inbound = (redirects: unknown[]) => new Side({ direction: 'inbound', redirects });

  it('give what matches the other unit’s token and the hop mark', () => {
    const side = inbound([{ name: 'v2', match: { path: { prefix: '/v2/' } }, to: 'unit1' }]);
    const moved = side.exchange({ ':path': '/v2/x' }).requestHeaderMap;
    expect([moved.get(TOKEN), moved.get(HOP)]).toEqual(['unit1', '1']);
    const kept = side.exchange({ ':path': '/v1/x' }).requestHeaderMap;
    expect([kept.get(TOKEN), kept.get(HOP)]).toEqual([undefined, undefined]);
    expect(kept.get(LIST)).toBeUndefined();
    expect(side.counted()).toEqual({ 'redirected_total.rule.v2': 1 });
  });

  it('move a sticky share', () => {
    const side = inbound([{ name: 'half', percent: 50, to: 'unit1' }]);
    const moved = (n: number) => side.exchange({ 'x-request-id': `t${n}` }).requestHeaderMap.has(TOKEN);
    const first = Array.from({ length: 400 }, (_, n) => moved(n));
    expect(Array.from({ length: 400 }, (_, n) => moved(n))).toEqual(first);
    const count = first.filter(Boolean).length;
    expect(count).toBeGreaterThan(150);
    expect(count).toBeLessThan(250);
  });

  it('answer 508 instead of a second hop, and serve a redirected request that no rule wants to move', () => {
    const side = inbound([{ name: 'v2', match: { path: { prefix: '/v2/' } }, to: 'unit1' }]);
    const looped = side.vm.httpStream({
      requestHeaders: [
        [':path', '/v2/x'],
        [HOP, '1'],
      ],
    });
    looped.requestHeaders();
    expect(looped.clientResponse).toMatchObject({ status: 508, details: 'causeway_redirect_loop' });
    looped.end();
    expect(side.exchange({ ':path': '/v1/x', [HOP]: '1' }).clientResponse?.status).toBe(200);
    expect(side.counted()).toEqual({ redirect_loop_total: 1 });
  });
});

describe('host calls', () => {
  const headers = 'proxy_get_header_map_pairs';
  const add = 'proxy_add_header_map_value';
  const set = 'proxy_replace_header_map_value';
  const property = 'proxy_get_property';

  function calls(side: Side, sent: Record<string, string>): string[] {
    const host = { 'envoy.lb': { lane: 'dev1' } };
    // The first one defines the edge's counter.
    side.exchange(sent, host);
    side.host.calls.reset();
    side.exchange(sent, host);
    return side.host.calls.records().map(({ name }) => name);
  }

  it('are one for an untagged request', () => {
    expect(calls(new Side({}), {})).toEqual([headers]);
  });

  it('are three for a tagged one, four in a strict lane', () => {
    const side = new Side({});
    expect(calls(side, { [TAG]: 'dev1' })).toEqual([headers, add, property]);
    expect(calls(side, { [TAG]: 'gold' })).toEqual([headers, add, set, property]);
    expect(calls(side, { [TAG]: 'unknown' })).toEqual([headers, add, property]);
    expect(calls(new Side({ edges: 'none' }), { [TAG]: 'dev1' })).toEqual([headers, add]);
  });

  it('are none inbound without a redirect, two more in one', () => {
    expect(calls(new Side({ direction: 'inbound' }), { [TAG]: 'dev1' })).toEqual([]);
    const side = new Side({ direction: 'inbound', redirects: [{ name: 'all', to: 'unit1' }] });
    expect(calls(side, {})).toEqual([headers, set, set]);
  });
});

const memory = (side: Side): number => side.vm.instance.memory.size;

describe('configuration', () => {
  const refused = (section: Record<string, unknown>): string => {
    const side = new Side(section);
    expect(side.vm.configured).toBe(false);
    return side.host.messages().join('\n');
  };

  it('is refused with path, value and expectation', () => {
    expect(refused({ direction: 'sideways' })).toMatch(/lane-fallback\.direction: found "sideways", expected/);
    expect(refused({ lanes: [{ name: 'a b' }] })).toMatch(/lane-fallback\.lanes\[0\]\.name: found "a b", expected/);
    expect(refused({ lanes: [{ name: 'a', mode: 'loose' }] })).toMatch(
      /lane-fallback\.lanes\[0\]\.mode: found "loose"/,
    );
    expect(refused({ stages: 9 })).toMatch(/lane-fallback\.stages: found 9/);
    expect(refused({ steering: [{ name: 'r', to: [] }] })).toMatch(/lane-fallback\.steering\[0\]\.to: found/);
    expect(refused({ steering: [{ name: 'r', to: [{ lanes: ['a'], instance: 'b' }] }] })).toMatch(
      /steering\[0\]\.to\[0\]/,
    );
    expect(refused({ steering: [{ name: 'r', percent: 101, to: [{ instance: 'b' }] }] })).toMatch(/percent: found 101/);
    expect(refused({ chain: [] })).toMatch(/lane-fallback/);
  });

  it('can be replaced a hundred times without the memory growing', () => {
    const many = Array.from({ length: 500 }, (_, n) => ({ name: `lane-${n}`, chain: ['next', 'base'] }));
    const side = new Side({ lanes: many });
    const configuration = { direction: 'outbound', lanes: many, services: SERVICES };
    for (let n = 0; n < 10; n++) side.vm.reconfigure(configuration);
    const after = memory(side);
    for (let n = 0; n < 90; n++) side.vm.reconfigure(configuration);
    expect(memory(side)).toBe(after);
    expect(side.list({ [TAG]: 'lane-7' })).toEqual(lanes('lane-7', 'next', 'base'));
  });
});

describe('a collection inside every allocation', () => {
  it('changes nothing', async () => {
    const tortured = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { exportRuntime: true })));
    const section = {
      shard: 6,
      stages: 2,
      steering: [{ name: 'r', percent: 50, to: [{ lanes: ['a', 'b', 'base'] }] }],
    };
    const calm = new Side(section);
    const host = new EmulatedHost(tortured);
    const configuration = { direction: 'outbound', lanes: LANES, services: SERVICES, ...section };
    const vm = host.vm({ rootId: 'lane-fallback', configuration, torture: true });
    for (let n = 0; n < 200; n++) {
      const tag = ['dev1', 'gold', 'transfer', 'unknown', 'x, y'][n % 5] ?? '';
      const headers = { [TAG]: tag, ':authority': n % 2 === 0 ? 'ratings:9080' : 'reviews', 'x-request-id': `t${n}` };
      const sent = vm.exchange({ requestHeaders: Object.entries(headers) }).requestHeaderMap;
      const expected = calm.exchange(headers, null).requestHeaderMap;
      for (const name of [LIST, LANE, STRICT]) expect(sent.get(name), `${n} ${tag} ${name}`).toBe(expected.get(name));
    }
  }, 120_000);
});

describe('handed over by route', () => {
  const side = () => new Side({ handOver: 'route', servedProperty: 'metadata.filter_metadata.causeway.lane' });
  const sent = (headers: Record<string, string>, more: Record<string, unknown> = {}) => {
    const map = new Side({ handOver: 'route', ...more }).exchange(headers).requestHeaderMap;
    return [map.get(LANE), map.get(LIST), map.get(STRICT)];
  };

  it('names the whole chain, and leaves the rest to the route', () => {
    expect(sent({ [TAG]: 'dev1' })).toEqual(['dev1>base', undefined, undefined]);
    expect(sent({ [TAG]: 'transfer' })).toEqual(['transfer>GROUP_2>base', undefined, undefined]);
    expect(sent({ [TAG]: 'gold' })).toEqual(['gold', undefined, undefined]);
    expect(sent({ [TAG]: 'island' })).toEqual(['island>reef', undefined, undefined]);
    // No route matches a lane that nobody has configured, so the default serves it.
    expect(sent({ [TAG]: 'nobody' })).toEqual(['nobody', undefined, undefined]);
    expect(sent({ [TAG]: 'not a tag' })).toEqual([undefined, undefined, undefined]);
    expect(sent({})).toEqual([undefined, undefined, undefined]);
  });

  it('names a pinned instance before the lanes, and knows no shards', () => {
    const pin = { steering: [{ name: 'pin', to: [{ instance: 'reviews-base-2' }] }] };
    expect(sent({}, pin)).toEqual(['=reviews-base-2>base', undefined, undefined]);
    expect(sent({ ':authority': 'ratings:9080', [TAG]: 'dev1' }, { shard: 3 })).toEqual([
      'dev1>dev2>base',
      undefined,
      undefined,
    ]);
  });

  it('learns who served from the property that is configured', () => {
    const istio = side();
    const properties: Properties = { metadata: { filter_metadata: { causeway: { lane: 'base' } } } };
    const requestHeaders: HeaderList = Object.entries({ ':authority': 'reviews', [TAG]: 'dev1' });
    istio.vm.exchange({ requestHeaders, properties });
    istio.exchange({ [TAG]: 'dev1' });
    expect(istio.counted()).toEqual({
      'requests_total.service.reviews.wanted.dev1.served.base': 1,
      'requests_total.service.reviews.wanted.dev1.served.none': 1,
    });
  });
});
