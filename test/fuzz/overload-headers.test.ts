/**
 * What the overload filters read from headers that others write, in the compiled module beside a reference: classes,
 * T2 and load reports, early drops, thresholds, values that are limited. Random and mutated; after every case the module must have decided and
 * counted what the reference says, and nothing may trap. CAUSEWAY_SCALE=1 is full size; a case that fails prints what is needed to
 * run it alone.
 */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type HeaderList, type HttpStream, type Vm } from '../emulator/index.ts';
import { Instance } from '../filters/overloaded-instance.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scaled } from '../support/scale.ts';
import { cookie, query } from './reference/matcher.ts';
import * as make from './reference/overload-inputs.ts';
import * as reference from './reference/overload-values.ts';
import { Random, shown } from './reference/random.ts';

const CASES = 140_000;
const CLASS = 'x-causeway-class';
const DROPPED = 'x-causeway-dropped';
const SHED = 'x-causeway-shed';
const MESH = { 'xds.upstream_host_metadata.filter_metadata.causeway.instance': 'reviews-base-1' };

type Reference = typeof reference;

interface Options {
  readonly seed: number;
  readonly torture?: boolean;
  /** What the module is compared with. */
  readonly model?: Reference;
}

let module: Uint8Array<ArrayBuffer>;
let tortured: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
  tortured = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { exportRuntime: true })));
}, 300_000);

/** Counters that the reference says, compared with those of the module. */
class Counts {
  readonly #expected = new Map<string, number>();
  readonly #before: Record<string, number>;
  readonly #host: EmulatedHost;
  readonly #vm: Vm;
  readonly #prefix: string;
  readonly #names: RegExp;

  constructor(host: EmulatedHost, vm: Vm, prefix: string, names: RegExp) {
    this.#host = host;
    this.#vm = vm;
    this.#prefix = prefix;
    this.#names = names;
    this.#before = this.#counted();
  }

  add(name: string, by = 1): void {
    this.#expected.set(name, (this.#expected.get(name) ?? 0) + by);
  }

  of(name: string): number {
    return this.#expected.get(name) ?? 0;
  }

  check(explain: string): void {
    expect(this.#vm.failure, explain).toBeUndefined();
    const counted = this.#counted();
    const names = new Set([...Object.keys(counted), ...this.#expected.keys()]);
    for (const name of names) {
      expect((counted[name] ?? 0) - (this.#before[name] ?? 0), `${name}: ${explain}`).toBe(this.of(name));
    }
  }

  #counted(): Record<string, number> {
    // Counters are handed over once a second of ticks.
    for (let i = 0; i < 10; i++) this.#vm.root.tick();
    const own = Object.entries(this.#host.metrics.nonZero()).filter(
      ([name]) => name.startsWith(this.#prefix) && this.#names.test(name),
    );
    return Object.fromEntries(
      own.map(([name, value]) => [name.slice(this.#prefix.length).replace('_total', ''), value]),
    );
  }
}

/** The value that counts of a header: the first one. */
const first = (headers: HeaderList, name: string): string | undefined =>
  headers.find(([other]) => other === name)?.[1] as string | undefined;

const explained = (options: Options, number: number, ...what: unknown[]): string =>
  `seed ${options.seed}, case ${number}: ${shown(what)}`;

/** The run of `cases` of one subject; `one` plays and compares a case. */
type Subject = (options: Options) => {
  one: (random: Random, explain: (...what: unknown[]) => string) => void;
  counts: Counts;
};

function run(subject: Subject, cases: number, options: Options): Counts {
  const { one, counts } = subject(options);
  for (let i = 0; i < cases; i++) {
    const random = new Random(options.seed * 1_000_000 + i);
    one(random, (...what) => explained(options, i, ...what));
  }
  return counts;
}

const used = ({ torture }: Options): Uint8Array<ArrayBuffer> => (torture === true ? tortured : module);

/** Answers of the application in front of overload-shedding: counted, and believed as T2. */
const queueTimes =
  (queueTime: 'header' | 'orca'): Subject =>
  (options) => {
    const model = options.model ?? reference;
    const app = new Instance(used(options), { queueTime }, { torture: options.torture ?? false, record: false });
    const counts = new Counts(app.host, app.vm, 'causeway_overload_shedding_', /_(invalid_\w+|admitted)_total/);
    return {
      counts,
      one: (random, explain) => {
        const answer = make.report(random);
        const said =
          queueTime === 'header' ? headerSays(model, answer) : model.reportIn(make.firsts(answer), 'queue_ms');
        const stream = app.arrive({ [CLASS]: '0' });
        app.host.clock.advance(300);
        app.answer(stream, answer);
        app.host.clock.advance(100);
        counts.add('admitted');
        if (said?.invalid) counts.add('invalid_report');
        counts.check(explain(answer));
        if (said?.queue === undefined) return;
        counts.add('believed', 0);
        const queue = app.gauges().queue_microseconds ?? Number.NaN;
        expect(Math.abs(queue - Math.min(said.queue, 300) * 1000), `T2 ${queue}: ${explain(answer)}`).toBeLessThan(1.5);
      },
    };
  };

function headerSays(model: Reference, answer: HeaderList): reference.Said | undefined {
  const value = first(answer, 'x-queue-ms');
  if (value === undefined) return undefined;
  const queue = model.queueTimeIn(value);
  return { ...(queue === undefined ? {} : { queue }), invalid: queue === undefined };
}

/** The same answers, and a signal of the application's own, in front of adaptive-rate-limit. */
const signals: Subject = (options) => {
  const model = options.model ?? reference;
  const host = new EmulatedHost(used(options), { record: false });
  const vm = host.vm({
    vmConfiguration: 'inbound',
    rootId: 'adaptive-rate-limit',
    configuration: { queueTime: 'orca', adaptive: { signal: { header: 'x-load', threshold: 1 } } },
    torture: options.torture ?? false,
  });
  const counts = new Counts(host, vm, 'causeway_adaptive_rate_limit_', /_invalid_report_total/);
  return {
    counts,
    one: (random, explain) => {
      const answer = [...make.report(random), ...make.maybe(random, 'x-load', make.number(random))];
      const stream = vm.httpStream({});
      stream.requestHeaders();
      stream.responseHeaders([[':status', '200'], ...answer]);
      stream.end();
      host.clock.advance(10);
      const said = model.reportIn(make.firsts(answer), 'queue_ms');
      const load = first(answer, 'x-load');
      if (said?.invalid) counts.add('invalid_report');
      if (load !== undefined && model.signalIn(load) === undefined) counts.add('invalid_report');
      counts.check(explain(answer));
    },
  };
};

/** Requests to an instance that has no room, at one moment: the class decides, and what is over tells of early drops. */
const classes: Subject = (options) => {
  const model = options.model ?? reference;
  const app = new Instance(used(options), {}, { torture: options.torture ?? false, record: false });
  app.warmUp();
  app.flood();
  app.overload();
  // All of these classes are over the threshold, so that what their callers say is looked at.
  const before = app.counted().held_back ?? 0;
  for (let i = 0; i < 256; i++) app.arrive({ [CLASS]: '8', [DROPPED]: '1' }).end();
  expect((app.counted().held_back ?? 0) - before, 'class 8 is over the threshold').toBe(256);
  const counts = new Counts(
    app.host,
    app.vm,
    'causeway_overload_shedding_',
    /_(refused|held_back|invalid_\w+|admitted)_total/,
  );
  return {
    counts,
    one: (random, explain) => {
      const given = make.maybe(random, CLASS, make.class_(random));
      const wanted = first(given, CLASS) === undefined ? undefined : model.classIn(first(given, CLASS) ?? '');
      const class_ = wanted ?? model.CLASS_WITHOUT;
      // Of classes 1 to 7 the threshold may be in the midst.
      const dropped = class_ >= 8 ? make.maybe(random, DROPPED, make.number(random)) : [];
      const headers = [...given, ...dropped];
      const stream = app.arrive(headers);
      if (wanted === undefined && given.length > 0) counts.add('invalid_class');
      const said = first(dropped, DROPPED);
      const count = said === undefined ? 0 : model.droppedIn(said);
      if (count === undefined) counts.add('invalid_dropped');
      else counts.add('held_back', Math.trunc(count));
      if (class_ === 0) {
        counts.add('admitted');
        expect(stream.clientResponse, explain(headers)).toBeUndefined();
        app.answer(stream);
      } else {
        counts.add(`refused.class.${class_}`);
        expect(stream.clientResponse?.status, explain(headers)).toBe(503);
        expect(model.thresholdIn(stream.clientResponse?.headers.get(SHED) ?? ''), explain(headers)).toBeDefined();
        stream.end();
      }
      counts.check(explain(headers));
    },
  };
};

/** Thresholds in answers: believed from the mesh alone; what is over them is dropped, unless it is one of the samples. */
const thresholds: Subject = (options) => {
  const model = options.model ?? reference;
  const host = new EmulatedHost(used(options), { record: false });
  const vm = host.vm({
    vmConfiguration: 'outbound',
    rootId: 'overload-shedding',
    configuration: {
      direction: 'outbound',
      services: [{ name: 'reviews', authorities: ['reviews'] }],
      classes: [1, 2, 3, 4, 6, 7, 8, 9].map((one) => ({
        class: one,
        match: { header: { name: 'x-kind', exact: `k${one}` } },
      })),
    },
    torture: options.torture ?? false,
  });
  const counts = new Counts(host, vm, 'causeway_overload_shedding_', /_(believed|foreign_\w+|invalid_\w+)_total/);
  let sent = 0;
  const call = (kind: number, answer: HeaderList, mesh = true): HttpStream =>
    vm.exchange({
      requestHeaders: [
        [':authority', 'reviews'],
        ['x-request-id', `id ${sent++}`],
        ['x-kind', `k${kind}`],
      ],
      properties: { 'upstream.address': '10.0.0.1:9080', ...(mesh ? MESH : {}) },
      response: answer,
    });
  return {
    counts,
    one: (random, explain) => {
      host.clock.advance(1_100);
      const said = make.maybe(random, SHED, make.threshold(random));
      const mesh = random.chance(0.8);
      call(1, [[':status', random.pick(['200', '503', '429'])], ...said], mesh);
      const value = first(said, SHED);
      const threshold = value === undefined ? undefined : model.thresholdIn(value);
      if (value !== undefined) {
        counts.add(threshold === undefined ? 'invalid_threshold' : mesh ? 'believed' : 'foreign_threshold');
      }
      const kind = random.pick([1, 2, 3, 4, 6, 7, 8, 9]);
      const next = call(kind, [[':status', '200']]);
      const gone = next.localResponseSent !== undefined || next.requestHeaderMap.has(DROPPED);
      const limit = threshold !== undefined && mesh ? Math.max(threshold, 128) : model.ALL;
      if (limit <= kind * 128) expect(gone, explain(said, mesh, kind)).toBe(true);
      if (limit >= (kind + 1) * 128) expect(gone, explain(said, mesh, kind)).toBe(false);
      counts.check(explain(said, mesh, kind));
    },
  };
};

/** At a caller that cuts a dependency when it sheds class 8, and drops classes 5 and above. */
const degraded: Subject = (options) => {
  const model = options.model ?? reference;
  const host = new EmulatedHost(used(options), { record: false });
  const vm = host.vm({
    vmConfiguration: 'outbound',
    rootId: 'degradation',
    configuration: {
      services: [{ name: 'reviews', authorities: ['reviews'], breaker: {} }],
      drops: [{ name: 'all', percent: 100, class: 5 }],
      cuts: [{ name: 'shed', service: 'reviews', when: { shedClass: 8 }, answer: { body: 'none' } }],
    },
    torture: options.torture ?? false,
  });
  const counts = new Counts(host, vm, 'causeway_degradation_', /_(ignored|dropped|cut)_total/);
  const call = (headers: HeaderList, answer: HeaderList = [[':status', '200']], mesh = true): string | undefined => {
    const stream = vm.exchange({
      requestHeaders: [[':authority', 'reviews'], ...headers],
      properties: { 'upstream.address': '10.0.0.1:9080', ...(mesh ? MESH : {}) },
      response: answer,
    });
    return stream.clientResponse?.headers.get('x-causeway-degraded');
  };
  return {
    counts,
    one: (random, explain) => {
      // Past what holds a cut, and past the breaker's window.
      host.clock.jump(20_000);
      const said = make.maybe(random, SHED, make.threshold(random));
      const status = make.status(random);
      const mesh = random.chance(0.8);
      call([[CLASS, '1']], [[':status', status], ...said], mesh);
      const refused = /^\d{1,18}$/.test(status) && (Number(status) >= 500 || Number(status) === 429);
      const heard = refused && mesh ? first(said, SHED) : undefined;
      const threshold = heard === undefined ? undefined : model.thresholdIn(heard);
      if (heard !== undefined && threshold === undefined) counts.add('ignored.reason.bad_threshold');
      const holds = threshold !== undefined && threshold < 9 * 128;
      if (holds) counts.add('cut.rule.shed');
      expect(call([[CLASS, '1']]), explain(status, said, mesh)).toBe(holds ? 'cut' : undefined);

      host.clock.jump(20_000);
      const given = make.maybe(random, CLASS, make.class_(random));
      const value = first(given, CLASS);
      const class_ = value === undefined ? undefined : model.classIn(value);
      if (value !== undefined && class_ === undefined) counts.add('ignored.reason.bad_class');
      const drops = (class_ ?? model.CLASS_WITHOUT) >= 5;
      if (drops) counts.add('dropped.rule.all');
      expect(call(given), explain(given)).toBe(drops ? 'drop' : undefined);
      counts.check(explain(status, said, mesh, given));
    },
  };
};

/** A limit that is used up, at one moment: only class 0 passes. And one request in ten seconds for each value. */
const limited: Subject = (options) => {
  const model = options.model ?? reference;
  const host = new EmulatedHost(used(options), { record: false });
  const filter = (configuration: object): Vm =>
    host.vm({
      vmConfiguration: 'inbound',
      rootId: 'adaptive-rate-limit',
      configuration,
      torture: options.torture ?? false,
    });
  const passes = (vm: Vm, headers: HeaderList): boolean =>
    vm.exchange({ requestHeaders: headers }).localResponseSent === undefined;
  const whole = filter({ app: 'whole', perSecond: 0.1 });
  const hot = filter({
    app: 'hot',
    hotspots: [{ header: 'x-user' }, { cookie: 'sid' }, { query: 'user' }].map((by, i) => ({
      name: `h${i}`,
      by,
      perSecond: 0.1,
    })),
  });
  const counts = new Counts(host, whole, 'causeway_adaptive_rate_limit_', /_refused_total\.reason\.instance/);
  return {
    counts,
    one: (random, explain) => {
      host.clock.jump(11_000);
      const given = make.maybe(random, CLASS, make.class_(random));
      expect(passes(whole, [[CLASS, '5']]), explain('the bucket is full again')).toBe(true);
      const control = model.classIn(first(given, CLASS) ?? '') === 0;
      expect(passes(whole, given), explain(given)).toBe(control);
      if (!control) counts.add('refused.reason.instance');

      const headers = make.keyed(random);
      const found = [
        first(headers, 'x-user'),
        cookie(first(headers, 'cookie'), 'sid'),
        query(first(headers, ':path'), 'user'),
      ].some((value) => value !== undefined);
      expect(passes(hot, headers), explain(headers)).toBe(true);
      expect(passes(hot, headers), explain(headers)).toBe(!found);
      if (found) counts.add('of a value', 0);
      counts.check(explain(given, headers));
    },
  };
};

const SUBJECTS: readonly (readonly [what: string, subject: Subject, outcomes: readonly string[]])[] = [
  ['T2 in a header', queueTimes('header'), ['invalid_report']],
  ['T2 in a load report', queueTimes('orca'), ['invalid_report']],
  ['signals of the adaptive limit', signals, ['invalid_report']],
  [
    'classes and early drops',
    classes,
    ['invalid_class', 'invalid_dropped', 'held_back', 'admitted', 'refused.class.1', 'refused.class.9'],
  ],
  ['thresholds', thresholds, ['believed', 'invalid_threshold', 'foreign_threshold']],
  [
    'what degrades',
    degraded,
    ['ignored.reason.bad_threshold', 'ignored.reason.bad_class', 'dropped.rule.all', 'cut.rule.shed'],
  ],
  ['what is limited', limited, ['refused.reason.instance']],
];

describe.each(SUBJECTS)('%s', (_what, subject, outcomes) => {
  const seed = 500 + SUBJECTS.findIndex(([, other]) => other === subject) * 2;

  it('is read as the reference reads it', { timeout: 900_000 }, () => {
    const counts = run(subject, scaled(CASES / SUBJECTS.length, 400), { seed });
    for (const outcome of outcomes) expect(counts.of(outcome), outcome).toBeGreaterThan(5);
  });

  it('is also read so when memory is collected under every host call', { timeout: 900_000 }, () => {
    run(subject, scaled(CASES / 20 / SUBJECTS.length, 40), { seed: seed + 1, torture: true });
  });
});

/** A reference that differs in one thing. */
const ALTERED: readonly (readonly [what: string, subject: Subject, change: Partial<Reference>])[] = [
  ['a sign', queueTimes('header'), { queueTimeIn: (text) => reference.queueTimeIn(text.replace(/^[+-]/, '')) }],
  [
    'an absurd value in a report',
    queueTimes('orca'),
    { reportIn: (headers, metric) => ({ ...reference.reportIn(headers, metric), invalid: false }) },
  ],
  ['blanks around a class', classes, { classIn: (text) => reference.classIn(text.trim()) }],
  ['the most that a caller may have dropped', classes, { droppedIn: (text) => reference.numberIn(text, 99_999) }],
  ['the last key', thresholds, { thresholdIn: (text) => (text === '1280' ? undefined : reference.thresholdIn(text)) }],
  ['two digits of a class', degraded, { classIn: (text) => (/^\d\d?$/.test(text) ? Number(text) : undefined) }],
];

describe('the comparison notices a difference in', () => {
  it.each(ALTERED)('%s', { timeout: 300_000 }, (_what, subject, change) => {
    expect(() => run(subject, 2_000, { seed: 1, model: { ...reference, ...change } })).toThrow(/seed 1, case \d+/);
  });
});
