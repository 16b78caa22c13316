/**
 * The compiled module against the reference model: random and mutated requests through every role, alone and as the
 * inbound and outbound sides of one sidecar. Headers, answers and metrics must be the model's after every request, and
 * nothing may trap. CAUSEWAY_SCALE=1 is full size; a case that fails prints what is needed to run it alone.
 */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SuiteConfig } from '../../filters/schema.ts';
import { EmulatedHost, HeaderMap, type HttpStream, MapType, type Properties, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scaled } from '../support/scale.ts';
import type { Served } from './reference/lane-fallback.ts';
import { EXPRESSION, expressionHolds } from './reference/matcher.ts';
import { Random, shown } from './reference/random.ts';
import { sortedHeaders } from './reference/request.ts';
import { type FuzzedRequest, RequestMaker } from './reference/requests.ts';
import { SCENARIOS, type Scenario } from './reference/scenarios.ts';
import { type ReferenceRequest, ReferenceSuite } from './reference/suite.ts';
import { TraceMemory } from './reference/trace-propagation.ts';

const CASES = 100_000;
const OWN_METRICS = /^causeway_(lane_tagging|trace_propagation|lane_fallback)_/;
/** Both tell an outbound request without a tag; which of the two is a Bloom filter's guess. */
const UNTAGGED = 'causeway_trace_propagation_untagged_total';
const PINNED = 'causeway_trace_propagation_pinned';
const LEAKED = 'causeway_trace_propagation_leaked_total.reason.unknown_id';
const MOST_IN_FLIGHT = 100;

type Role = 'gateway' | 'outbound' | 'inbound';

interface Side {
  readonly role: Role;
  readonly vm: Vm;
  model: ReferenceSuite;
}

/** One emulated Envoy with the roles of a scenario, and the model of each. */
class Comparison {
  readonly host: EmulatedHost;
  readonly #sides: Side[];
  readonly #maker: RequestMaker;
  readonly #memory: TraceMemory | undefined;
  readonly #seed: number;
  #open: { stream: HttpStream; expected: ReferenceRequest; side: Side }[] = [];

  /** `modelled`: the configuration that the model takes for the scenario's. */
  constructor(
    module: Uint8Array<ArrayBuffer>,
    scenario: Scenario,
    { seed, torture = false, modelled = scenario }: { seed: number; torture?: boolean; modelled?: Scenario },
  ) {
    this.host = new EmulatedHost(module, { record: false });
    this.host.foreign.explain(EXPRESSION, (context) =>
      expressionHolds(context.readableMap(MapType.RequestHeaders)?.get('x-cel')),
    );
    this.#maker = new RequestMaker(scenario);
    this.#seed = seed;
    const roles = Object.entries(scenario.roles) as [Role, SuiteConfig][];
    const vms = roles.map(([role, suite]) => {
      const [filter, section] = Object.entries(suite)[0] ?? [];
      const plugin = scenario.alone
        ? { rootId: filter ?? '', configuration: section }
        : { rootId: 'causeway', configuration: suite };
      const vm = this.host.vm({ ...plugin, label: role, vmConfiguration: role, torture });
      expect(vm.configured, this.host.messages().join('\n')).toBe(true);
      return vm;
    });
    const propagation = roles.map(([, config]) => config['trace-propagation']).find((section) => section !== undefined);
    const key = this.host.sharedData.get('causeway', 'v1/trace/key')?.value ?? '\0'.repeat(16);
    this.#memory = propagation === undefined ? undefined : new TraceMemory(key, propagation);
    this.host.ticked = (role) => {
      if (role !== 'inbound') return;
      const dropped = this.#memory?.inFlight.tick(this.host.clock.ms) ?? 0;
      this.#sides.find((side) => side.role === role)?.model.counts.add(PINNED, -dropped);
    };
    this.#sides = roles.map(([role], i) => {
      return { role, vm: vms[i] as Vm, model: new ReferenceSuite(modelled.roles[role] ?? {}, this.#memory) };
    });
  }

  /** A configuration push: new requests meet the new rules, those in flight end by the old ones. */
  push(scenario: Scenario): void {
    for (const side of this.#sides) {
      const config = scenario.roles[side.role] ?? {};
      expect(side.vm.reconfigure(config).configured, this.host.messages().join('\n')).toBe(true);
      const { counts } = side.model;
      side.model = new ReferenceSuite(config, this.#memory, counts);
    }
  }

  /** A configuration push that every side refuses: nothing may change. */
  pushRefused(scenario: Scenario): void {
    for (const side of this.#sides) {
      expect(side.vm.reconfigure(scenario.roles[side.role]).configured, 'an expression that does not parse').toBe(
        false,
      );
    }
  }

  /** One request; on some sides it stays open while others come. */
  run(number: number): void {
    const random = new Random(this.#seed * 1_000_000 + number);
    this.host.clock.advance(random.pick([0, 0, 1, 7, 100, 1_000]));
    const side = random.pick(this.#sides);
    const request = this.#maker.make(random);
    const explain = (what: string): string =>
      `${what}: seed ${this.#seed}, case ${number}, ${side.role}\n${shown(request)}\n${side.vm.failure ?? ''}`;

    // Envoy itself joins repeated headers of some names.
    const arrived = new HeaderMap(request.headers).pairs();
    const expected = side.model.request(arrived, request.connection, this.host.clock.ms);
    const stream = side.vm.httpStream({ requestHeaders: request.headers, properties: propertiesOf(request) });
    const action = stream.requestHeaders({ endOfStream: random.chance(0.7) });
    expect(side.vm.failure, explain('trap')).toBeUndefined();
    if (expected.reply === undefined) {
      expect(action, explain('action')).toBe('Continue');
      const headers = sortedHeaders(stream.requestHeaderMap.pairs());
      if (shown(headers) !== shown(expected.headers.sorted())) {
        expect(headers, explain('headers')).toEqual(expected.headers.sorted());
      }
    } else {
      expect(action, explain('action')).not.toBe('Continue');
      expect(stream.localResponseSent, explain('reply')).toMatchObject(expected.reply);
    }
    this.#open.push({ stream, expected, side });
    // Requests to the application last while it makes calls.
    if (side.role !== 'inbound') this.#end(random, this.#open.length - 1);
    const most = random.below(MOST_IN_FLIGHT);
    while (this.#open.length > most) this.#end(random);
    for (const { vm } of this.#sides) vm.root.tick();
    this.#compareMetrics(explain);
  }

  /** Ends what is still open, and looks at the whole. */
  finish(): void {
    const random = new Random(this.#seed);
    while (this.#open.length > 0) this.#end(random);
    for (const { vm } of this.#sides) {
      vm.root.tick();
      expect(vm.failure).toBeUndefined();
    }
    this.#compareMetrics((what) => `${what} at the end`);
    // A Bloom filter may take a leaked id for an untagged one, rarely, and never the reverse.
    const untagged = this.host.metrics.value(UNTAGGED) ?? 0;
    const truth = this.#sides.reduce((sum, { model }) => sum + (model.counts.values.get(UNTAGGED) ?? 0), 0);
    expect(untagged).toBeGreaterThanOrEqual(truth);
    const leaked = this.#sides.reduce((sum, { model }) => sum + (model.counts.values.get(LEAKED) ?? 0), 0);
    expect(untagged - truth).toBeLessThanOrEqual(Math.max(40, leaked * 0.05));
  }

  /** The filters' counters and what they stand at, but for those of single edges. */
  counters(): [name: string, count: number][] {
    return this.host.metrics
      .names()
      .filter((name) => OWN_METRICS.test(name) && name.includes('_total') && !name.includes('_requests_total'))
      .map((name) => [name, this.host.metrics.value(name) ?? 0]);
  }

  #end(random: Random, index = random.below(this.#open.length)): void {
    const [one] = this.#open.splice(index, 1);
    if (one === undefined) return;
    const { stream, expected, side } = one;
    const served = random.pick<Served>([
      {},
      { firstLane: 'base', anyLane: 'base' },
      { firstLane: 'dev1', anyLane: 'dev1' },
      { firstLane: 'reef.1' },
      { firstLane: random.bytes(8) },
      { anyLane: 'base' },
    ]);
    if (expected.reply === undefined) {
      stream.setProperties(hostOf(served));
      if (random.chance(0.8)) stream.responseHeaders([[':status', random.pick(['200', '503', '404'])]]);
      else stream.reset();
    }
    stream.end();
    expected.end(expected.reply === undefined ? served : {}, this.host.clock.ms);
    expect(side.vm.failure, 'trap at the end of a stream').toBeUndefined();
  }

  #compareMetrics(explain: (what: string) => string): void {
    const wanted = new Map<string, number>();
    for (const { model } of this.#sides) {
      for (const [name, count] of model.counts.values) wanted.set(name, (wanted.get(name) ?? 0) + count);
    }
    const given = Object.entries(this.host.metrics.nonZero()).filter(([name]) => OWN_METRICS.test(name));
    const compared = (metrics: Iterable<[string, number]>): Record<string, number> => {
      const values: Record<string, number> = {};
      for (const [name, count] of metrics) {
        const key = name === LEAKED ? UNTAGGED : name;
        if (count !== 0) values[key] = (values[key] ?? 0) + count;
      }
      return values;
    };
    const [ours, theirs] = [compared(given), compared(wanted)];
    const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
    for (const name of names) if (ours[name] !== theirs[name]) expect(ours, explain('metrics')).toEqual(theirs);
  }
}

function propertiesOf({ connection }: FuzzedRequest): Properties {
  return {
    'source.address': connection.sourceAddress,
    'connection.uri_san_peer_certificate': connection.uriName,
    'connection.subject_peer_certificate': connection.subject,
  };
}

/** The metadata of the host that answered. */
function hostOf({ firstLane, anyLane }: Served): Properties {
  return {
    'xds.upstream_host_metadata': {
      filter_metadata: { 'envoy.lb': { lane: firstLane }, causeway: { lane: anyLane } },
    },
  };
}

let module: Uint8Array<ArrayBuffer>;
let tortured: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
  tortured = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { exportRuntime: true })));
}, 240_000);

/** By counter, over all scenarios. */
const counted = new Map<string, number>();

describe('random and mutated requests', () => {
  for (const [number, scenario] of SCENARIOS.entries()) {
    it(`${scenario.name}: the module does what the reference does`, { timeout: 900_000 }, () => {
      const comparison = new Comparison(module, scenario, { seed: number + 1 });
      const cases = Math.ceil(scaled(CASES, 5_000) / SCENARIOS.length);
      for (let i = 0; i < cases; i++) comparison.run(i);
      comparison.finish();
      for (const [name, count] of comparison.counters()) counted.set(name, (counted.get(name) ?? 0) + count);
    });

    it(`${scenario.name}: also when memory is collected under every host call`, { timeout: 900_000 }, () => {
      const comparison = new Comparison(tortured, scenario, { seed: number + 101, torture: true });
      const cases = Math.ceil(scaled(CASES / 20, 400) / SCENARIOS.length);
      for (let i = 0; i < cases; i++) comparison.run(i);
      comparison.finish();
    });
  }
});

it('a configuration that is pushed under load replaces the one before as a whole', { timeout: 900_000 }, () => {
  const [, , first] = SCENARIOS as readonly Scenario[];
  if (first === undefined) throw new RangeError('no scenario with a trace map');
  const comparison = new Comparison(module, first, { seed: 301 });
  const cases = scaled(CASES / 20, 1_000);
  for (let i = 0; i < cases; i++) {
    if (i > 0 && i % 50 === 0) comparison.push(i % 100 === 0 ? first : PUSHED);
    if (i % 50 === 20) comparison.pushRefused(REFUSED);
    comparison.run(i);
  }
  comparison.finish();
});

it('every rule and every event was met by some request', () => {
  // These need a crowded map or two workers at once; policy-simulation.test.ts crowds one.
  const rare = /_(cas_exhausted|unpinned|evicted_live)_total/;
  const byEvent = new Map<string, number>();
  for (const [name, count] of counted) {
    const event = name.replace(/\.rule\.\d+\./, '.');
    byEvent.set(event, (byEvent.get(event) ?? 0) + count);
  }
  expect([...byEvent].filter(([name, count]) => count === 0 && !rare.test(name))).toEqual([]);
});

/** Takes away what the sidecar's scenario has: rules, sources of trace ids, stages. */
const PUSHED: Scenario = {
  name: 'the sidecar after a push',
  tagHeader: 'x-asm-traffic-lane',
  traceHeaders: [],
  roles: {
    inbound: {
      'trace-propagation': { direction: 'inbound', entries: 1024, ttlSeconds: 5, maxPinSeconds: 20, leakSample: 1 },
    },
    outbound: {
      'lane-tagging': { trust: 'all', rules: [{ lane: 'half', match: { percentage: { percent: 50 } } }] },
      'lane-fallback': { direction: 'outbound', edges: 'all' },
    },
  },
};

/** Its last filter has an expression that Envoy does not take, after the others have been configured. */
const REFUSED: Scenario = {
  name: 'a push that is refused',
  tagHeader: 'x-other-lane',
  traceHeaders: [],
  roles: {
    inbound: {
      'trace-propagation': { direction: 'inbound', tagHeader: 'x-other-lane', sources: [{ header: 'b3' }] },
      'lane-fallback': { direction: 'inbound', redirects: [{ name: 'bad', match: { cel: 'request.' }, to: 'unit2' }] },
    },
    outbound: {
      'lane-tagging': { tagHeader: 'x-other-lane', sources: [{ header: 'b3' }] },
      'lane-fallback': {
        direction: 'outbound',
        steering: [{ name: 'bad', match: { cel: 'request.' }, to: [{ lanes: ['base'] }] }],
      },
    },
  },
};

/** One thing that differs between what the module is told and what the model is told. */
const ALTERED: readonly (readonly [what: string, scenario: number, from: string, to: string])[] = [
  ['the lane of a rule', 0, '"lane":"gold","match"', '"lane":"Gold","match"'],
  ['a percentage', 0, '"percent":10', '"percent":30'],
  ['the last rule of a table', 0, '["zeta","eta","alpha"]', '["zeta","alpha"]'],
  ['a block of trusted addresses', 1, '10.1.2.0/24', '10.1.3.0/24'],
  ['what is done with a tag that is none', 1, '"closed"', '"open"'],
  ['the number of stages', 1, '"stages":3', '"stages":2'],
  ['a strict lane', 2, '"name":"gold","mode":"strict"', '"name":"gold","mode":"permissive"'],
  ['where trace ids are found', 2, '{"header":"Uber-Trace-Id"}', '{"header":"x-other"}'],
  ['the key of the baggage', 3, '"baggageKey":"lane"', '"baggageKey":"Lane"'],
];

describe('the comparison notices a difference in', () => {
  for (const [what, number, from, to] of ALTERED) {
    it(what, { timeout: 300_000 }, () => {
      const scenario = SCENARIOS[number] as Scenario;
      const text = JSON.stringify(scenario);
      expect(text).toContain(from);
      const modelled = JSON.parse(text.replaceAll(from, to)) as Scenario;
      expect(() => {
        const comparison = new Comparison(module, scenario, { seed: number + 1, modelled });
        for (let i = 0; i < 2_000; i++) comparison.run(i);
      }).toThrow(/: seed \d+, case \d+/);
    });
  }
});
