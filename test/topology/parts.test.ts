import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { columnsOf } from '../../harness/topology/columns.ts';
import { Counters, split } from '../../harness/topology/counters.ts';
import { FactBook } from '../../harness/topology/facts.ts';
import { CallRecord, STEP_MS, STEPS, Steps } from '../../harness/topology/history.ts';
import { Latencies } from '../../harness/topology/latency.ts';
import { LogTail } from '../../harness/topology/log-tail.ts';
import { parseMetric } from '../../harness/topology/metric-name.ts';

describe('names of metrics', () => {
  it('are taken apart into filter, event and labels, whose values may hold dots', () => {
    expect(parseMetric('wasmcustom.causeway_lane_fallback_requests_total.service.a.b.wanted.v1.2.served.none')).toEqual(
      {
        filter: 'lane-fallback',
        event: 'requests_total',
        labels: { service: 'a.b', wanted: 'v1.2', served: 'none' },
      },
    );
    expect(parseMetric('wasmcustom.causeway_vm_configured_total.role.inbound')).toEqual({
      filter: 'module',
      event: 'vm_configured_total',
      labels: { role: 'inbound' },
    });
    expect(parseMetric('cluster.reviews.upstream_rq_total')).toBeUndefined();
  });
});

describe('latencies', () => {
  it('tell percentiles of whole milliseconds exactly below 32 and within a sixteenth above', () => {
    const times = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, fc.constantFrom(0.5, 0.9, 0.99, 1), (values, share) => {
        const latencies = new Latencies();
        for (const value of values) latencies.add(value);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1] ?? 0;
        const told = latencies.quantile(share) ?? -1;
        expect(told).toBeGreaterThanOrEqual(exact);
        expect(told).toBeLessThanOrEqual(exact < 32 ? exact : exact * (1 + 1 / 16));
      }),
    );
  });

  it('say nothing without calls and survive what is no time', () => {
    const latencies = new Latencies();
    expect(latencies.quantile(0.5)).toBeNull();
    for (const odd of [Number.NaN, -5, Number.POSITIVE_INFINITY, 1e12]) latencies.add(odd);
    expect(latencies.quantile(0.5)).toBe(0);
    expect(latencies.quantile(1)).toBeGreaterThan(200_000);
  });
});

describe('history', () => {
  it('keeps fifteen minutes and no more', () => {
    const record = new CallRecord();
    for (let n = 0; n < STEPS + 50; n++) {
      record.count(n);
      record.end(n % 20, n % 2 === 0);
      record.advance();
    }
    const series = record.series(STEPS);
    expect(series.calls).toHaveLength(STEPS);
    expect(series.calls[0]).toBe(50);
    expect(series.calls.at(-1)).toBe(STEPS + 49);
    expect(series.errors.at(-1)).toBe(0);
    expect((STEPS * STEP_MS) / 60_000).toBe(15);
  });

  it('begins with nothing where a record is younger than the others', () => {
    const record = new CallRecord();
    record.count(3);
    record.end(7, false);
    record.advance();
    expect(record.series(3)).toEqual({
      calls: [0, 0, 3],
      errors: [0, 0, 0],
      p50: [null, null, 7],
      p99: [null, null, 7],
    });
  });

  it('takes figures over the last steps', () => {
    const steps = new Steps(0);
    const record = new CallRecord();
    for (let now = 0; now < 60_000; now += 1000) {
      for (let n = 0; n < steps.advance(now); n++) record.advance();
      record.count(4);
      record.end(10, now % 4000 === 0);
    }
    const seconds = steps.windowSeconds(60_000);
    const { rate, errorShare, p50 } = record.figures(seconds);
    expect(seconds).toBe(20);
    expect([rate, errorShare, p50]).toEqual([4, 0.25, 10]);
    expect(new CallRecord().figures(20)).toEqual({ rate: 0, errorShare: null, p50: null, p99: null });
  });

  it('goes on after a sleep of the machine without counting it out step by step', () => {
    const steps = new Steps(0);
    expect(steps.advance(365 * 86_400_000)).toBe(STEPS);
    expect(steps.windowSeconds(365 * 86_400_000)).toBeLessThan(20);
  });
});

describe('counters', () => {
  it('rise by what was added, and begin anew with their Envoy', () => {
    const counters = new Counters();
    const rise = (value: number) => counters.rise(new Map([['a', value]])).get('a') ?? 0;
    expect(counters.fresh).toBe(true);
    expect([rise(10), rise(10), rise(17), rise(3), rise(4)]).toEqual([10, 0, 7, 3, 1]);
    expect(counters.fresh).toBe(false);
  });

  it('are split into whole parts that add up', () => {
    const weights = fc.dictionary(fc.string(), fc.nat(1000), { maxKeys: 6 });
    fc.assert(
      fc.property(fc.nat(100_000), weights, (count, given) => {
        const parts = split(count, new Map(Object.entries(given)), 'first');
        expect([...parts.values()].reduce((sum, part) => sum + part, 0)).toBe(count);
        for (const part of parts.values()) expect(Number.isInteger(part)).toBe(true);
      }),
    );
  });
});

describe('columns', () => {
  it('put every callee behind its callers', () => {
    const calls = [
      ['gateway', 'page'],
      ['page', 'reviews'],
      ['page', 'ratings'],
      ['reviews', 'ratings'],
    ] as const;
    expect(columnsOf(['gateway', 'page', 'details', 'reviews', 'ratings'], calls)).toEqual([
      ['gateway', 'details'],
      ['page'],
      ['reviews'],
      ['ratings'],
    ]);
  });

  it('end, and name everybody once, whatever circles there are', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const call = fc.tuple(fc.constantFrom(...names), fc.constantFrom(...names));
    fc.assert(
      fc.property(fc.array(call, { maxLength: 25 }), (calls) => {
        expect(columnsOf(names, calls).flat().sort()).toEqual(names);
      }),
    );
  });
});

describe('the end of an access log', () => {
  let folder = '';
  let path = '';
  const line = (ms: number) => `${JSON.stringify({ role: 'outbound', ms })}\n`;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cw-log-'));
    path = join(folder, 'a.log');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const read = async (tail: LogTail) => (await tail.read()).map(({ ms }) => ms);

  it('is read from where it was first seen, whole lines only', async () => {
    writeFileSync(path, line(1));
    const tail = new LogTail(path);
    expect(await read(tail)).toEqual([]);
    appendFileSync(path, `${line(2)}${line(3).slice(0, 9)}`);
    expect(await read(tail)).toEqual([2]);
    appendFileSync(path, `${line(3).slice(9)}not json\n"role"\n${line(4)}`);
    expect(await read(tail)).toEqual([3, 4]);
  });

  it('is read from its beginning when it is made later or anew', async () => {
    const tail = new LogTail(path);
    expect(await read(tail)).toEqual([]);
    writeFileSync(path, line(1) + line(2));
    expect(await read(tail)).toEqual([1, 2]);
    truncateSync(path);
    expect(await read(tail)).toEqual([]);
    appendFileSync(path, line(3));
    expect(await read(tail)).toEqual([3]);
  });

  it('is skipped to the newest where it grows faster than it is read', async () => {
    writeFileSync(path, '');
    const tail = new LogTail(path);
    await tail.read();
    const count = 100_000;
    writeFileSync(path, Array.from({ length: count }, (_, n) => line(n)).join(''));
    const seen = await read(tail);
    expect(seen.at(-1)).toBe(count - 1);
    expect(seen.length).toBeGreaterThan(10_000);
    expect(seen.length).toBeLessThan(count);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });
});

describe('what filters say', () => {
  const metric = (name: string) => `wasmcustom.causeway_${name}`;
  const told = (looks: readonly Record<string, number>[], proxies = 1) => {
    const book = new FactBook();
    for (let proxy = 0; proxy < proxies; proxy++) {
      const counters = new Counters();
      for (const [n, look] of looks.entries()) {
        const values = new Map(Object.entries(look).map(([name, value]) => [metric(name), value]));
        book.take(`proxy-${proxy}`, values, counters.rise(values), n === 0 ? 0 : 60);
      }
    }
    return new Map(book.states(1_000_000_000_000).map((state) => [state.filter, state]));
  };

  it('is a rate for a counter and a value for a gauge, and an alarm where somebody should look', () => {
    const states = told([
      { 'overload_shedding_refused_total.class.5': 100, overload_shedding_level_percent: 0 },
      { 'overload_shedding_refused_total.class.5': 700, overload_shedding_level_percent: 40 },
    ]);
    const shedding = states.get('overload-shedding');
    expect(shedding?.state).toBe('alarm');
    expect(shedding?.facts).toEqual([
      { label: 'refused', about: 'class 5', proxies: ['proxy-0'], value: 10, unit: '/s', alarm: true },
      { label: 'shed level', about: '', proxies: ['proxy-0'], value: 40, unit: '%', alarm: true },
    ]);
  });

  it('adds rates of several Envoys up, and shows the highest of other values', () => {
    const states = told(
      [
        { overload_shedding_held_back_total: 0 },
        { overload_shedding_held_back_total: 60, overload_shedding_in_flight: 7 },
      ],
      3,
    );
    const facts = states
      .get('overload-shedding')
      ?.facts.map(({ label, value, proxies }) => [label, value, proxies.length]);
    expect(facts).toEqual([
      ['held back', 3, 3],
      ['in flight', 7, 1],
    ]);
  });

  it('tells breakers, the share of TLS and silent workers, which no single metric says', () => {
    const states = told([
      {},
      {
        'degradation_opened_total.service.reviews.interface.all': 3,
        'degradation_closed_total.service.reviews.interface.all': 2,
        'connection_elimination_requests_total.result.tls.service.reviews': 30,
        'connection_elimination_requests_total.result.plain.service.reviews': 10,
        'heartbeat_seconds.role.inbound.worker.1': 1_000_000_000 - 20,
      },
    ]);
    const all = [...states.values()].flatMap(({ filter, facts }) =>
      facts.map(({ label, about, value }) => `${filter}: ${label} ${value} (${about})`),
    );
    expect(all).toEqual([
      'degradation: breakers not closed 1 (service reviews, interface all)',
      'connection-elimination: calls by TLS 75 (service reviews)',
      'module: worker silent for 20 (role inbound, worker 1)',
    ]);
  });
});
