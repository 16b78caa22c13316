import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Faults } from './faults.ts';
import { Clock, decodePairs, encodePairs, HeaderMap, MetricType, Status, u32le, utf8 } from './index.ts';
import { MetricIds, MetricStore } from './metrics.ts';
import { findProperty } from './properties.ts';
import { SharedData } from './shared-data.ts';
import { SharedQueues } from './shared-queue.ts';

/** Any bytes as a binary string. */
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array).toString('latin1'));

describe('header maps', () => {
  test('names are lower-cased, bytes are kept, order is kept', () => {
    const map = new HeaderMap([
      ['X-A', '\x80\xff'],
      ['x-b', new Uint8Array([1, 2])],
    ]);
    expect(map.pairs()).toEqual([
      ['x-a', '\x80\xff'],
      ['x-b', '\x01\x02'],
    ]);
    expect(map.byteSize).toBe(10);
  });

  test('a repeated header has a first value and all values; one that Envoy keeps in a slot has one', () => {
    const map = new HeaderMap([
      ['x-a', '1'],
      ['X-A', '2'],
      ['x-request-id', '1'],
      ['x-request-id', '2'],
    ]);
    expect([map.first('x-a'), map.get('x-a'), map.size]).toEqual(['1', '1,2', 3]);
    expect(map.first('x-request-id')).toBe('1,2');
  });

  test('set replaces all values at the place of the first; remove removes all', () => {
    const map = new HeaderMap([
      ['a', '1'],
      ['b', '2'],
      ['a', '3'],
    ]);
    map.set('A', '4');
    map.set('c', '5');
    expect(map.pairs()).toEqual([
      ['a', '4'],
      ['b', '2'],
      ['c', '5'],
    ]);
    map.remove('B');
    map.remove('absent');
    expect(map.toObject()).toEqual({ a: '4', c: '5' });
  });

  test('text beyond bytes is a mistake of the test', () => {
    expect(() => new HeaderMap([['a', '€']])).toThrow(/not a byte string/);
    expect(new HeaderMap([['a', utf8('€')]]).first('a')).toBe('\xe2\x82\xac');
  });
});

describe('the pair codec', () => {
  test('what is encoded is decoded', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(bytes, bytes), { maxLength: 20 }), (pairs) => {
        expect(decodePairs(encodePairs(pairs))).toEqual(pairs);
      }),
    );
  });

  test('a cut or changed buffer is no pairs, and never an exception', () => {
    const good = encodePairs([['name', 'value']]);
    for (let cut = 1; cut < good.length; cut++) expect(decodePairs(good.slice(0, cut))).toBeUndefined();
    expect(decodePairs(`${good}x`)).toBeUndefined();
    expect(decodePairs(good.replace('name\0', 'name!'))).toBeUndefined();
    fc.assert(fc.property(bytes, (data) => decodePairs(data) !== null));
  });

  test('more pairs or bytes than the host reads are none', () => {
    expect(decodePairs(u32le(1025) + '\0'.repeat(1025 * 10))).toBeUndefined();
    expect(decodePairs(encodePairs(Array.from({ length: 1024 }, () => ['', ''] as const)))).toHaveLength(1024);
    expect(decodePairs(encodePairs([['a', 'v'.repeat(1024 * 1024)]]))).toBeUndefined();
  });
});

describe('shared data', () => {
  test('0 overwrites, a first creation is not checked, an old number loses', () => {
    const data = new SharedData();
    expect(data.set('vm', 'k', 'a', 99)).toBe(Status.Ok);
    const first = data.get('vm', 'k')?.cas ?? 0;
    expect(data.set('vm', 'k', 'b', first)).toBe(Status.Ok);
    expect(data.set('vm', 'k', 'c', first)).toBe(Status.CasMismatch);
    expect(data.set('vm', 'k', 'd', 0)).toBe(Status.Ok);
    expect(data.get('vm', 'k')?.value).toBe('d');
  });

  test('belongs to one vm_id, and numbers never repeat between keys', () => {
    const data = new SharedData();
    data.set('one', 'k', 'a', 0);
    data.set('two', 'k', 'b', 0);
    expect(data.get('one', 'k')?.value).toBe('a');
    expect(data.get('one', 'k')?.cas).not.toBe(data.get('two', 'k')?.cas);
    data.drop('one');
    expect(data.keys('one')).toEqual([]);
    expect(data.bytes('two')).toBe(2);
  });
});

describe('shared queues', () => {
  test('first in first out; a new registration keeps the items and takes the receiver', () => {
    const queues = new SharedQueues();
    const told: string[] = [];
    const token = queues.register('vm', 'q', () => told.push('first'));
    queues.enqueue(token, 'a');
    expect(queues.register('vm', 'q', () => told.push('second'))).toBe(token);
    queues.enqueue(token, 'b');
    expect(told).toEqual(['first', 'second']);
    expect([queues.dequeue(token), queues.dequeue(token), queues.dequeue(token)]).toEqual(['a', 'b', Status.Empty]);
    expect(queues.dequeue(77)).toBe(Status.NotFound);
    expect(queues.resolve('other', 'q')).toBe(0);
  });
});

describe('metrics', () => {
  test('are shared by name, with ids of their own in each VM', () => {
    const store = new MetricStore();
    const [a, b] = [new MetricIds(store), new MetricIds(store)];
    const [one, two] = [a.define(MetricType.Counter, 'n'), b.define(MetricType.Counter, 'n')];
    expect(a.increment(one, 2n)).toBe(Status.Ok);
    expect(b.increment(two, 3n)).toBe(Status.Ok);
    expect(store.value('n')).toBe(5);
  });

  test('a counter only rises, a gauge goes both ways, a histogram is only recorded', () => {
    const store = new MetricStore();
    const ids = new MetricIds(store);
    const counter = ids.define(MetricType.Counter, 'c');
    const gauge = ids.define(MetricType.Gauge, 'g');
    const histogram = ids.define(MetricType.Histogram, 'h');
    expect([ids.increment(counter, 0n), ids.increment(counter, -1n)]).toEqual([Status.BadArgument, Status.BadArgument]);
    expect([ids.record(gauge, 7n), ids.increment(gauge, -2n)]).toEqual([Status.Ok, Status.Ok]);
    expect([ids.record(histogram, 9n), ids.increment(histogram, 1n)]).toEqual([Status.Ok, Status.BadArgument]);
    expect([ids.get(gauge), ids.get(histogram), ids.get(4444)]).toEqual([5n, Status.BadArgument, Status.NotFound]);
    expect(store.samples('h')).toEqual([9]);
  });
});

describe('the clock', () => {
  test('fires in order of time, then of creation, each at its own time', () => {
    const clock = new Clock(0n);
    const fired: [string, number][] = [];
    const at = (name: string, ms: number): (() => void) => clock.after(ms, () => fired.push([name, clock.ms]));
    at('late', 20);
    at('early', 10);
    at('also early', 10);
    at('cancelled', 15)();
    clock.advance(30);
    expect(fired).toEqual([
      ['early', 10],
      ['also early', 10],
      ['late', 20],
    ]);
    expect(clock.ms).toBe(30);
  });

  test('a timer that a timer sets still fires when it is due', () => {
    const clock = new Clock(0n);
    let ticks = 0;
    const tick = (): void => {
      ticks++;
      clock.after(10, tick);
    };
    clock.after(10, tick);
    clock.advance(55);
    expect(ticks).toBe(5);
  });
});

describe('properties', () => {
  const table = {
    'source.address': '1.2.3.4:5',
    'upstream.port': 8080,
    ratio: 0.5,
    asked: () => 'now',
    xds: { host: { 'envoy.lb': { lane: 'dev1' } } },
    empty: '',
    yes: true,
  };
  const at = (path: string): string | undefined => findProperty(table, path.split('/'));

  test('are found by path; names inside are taken as they are', () => {
    expect(at('source/address')).toBe('1.2.3.4:5');
    expect(at('xds/host/envoy.lb/lane')).toBe('dev1');
    expect(at('asked')).toBe('now');
    expect(at('empty')).toBe('');
    expect([at('xds/host/envoy/lb'), at('source'), at('source/address/port')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('become bytes: integers 8, booleans 1, maps pairs', () => {
    expect(at('upstream/port')).toBe('\x90\x1f\0\0\0\0\0\0');
    expect(at('ratio')).toBe('\0\0\0\0\0\0\xe0\x3f');
    expect(at('yes')).toBe('\x01');
    expect(at('xds/host/envoy.lb')).toBe(encodePairs([['lane', 'dev1']]));
  });
});

describe('planned faults', () => {
  test('hit the calls that were planned, and no others', () => {
    const faults = new Faults();
    faults.plan({ call: 'a', status: Status.Empty, from: 2, times: 2 });
    expect(Array.from({ length: 5 }, () => faults.next('a'))).toEqual([
      undefined,
      Status.Empty,
      Status.Empty,
      undefined,
      undefined,
    ]);
    expect(faults.next('b')).toBeUndefined();
    faults.plan({ call: 'b', status: Status.NotFound });
    expect([faults.next('b'), faults.next('b')]).toEqual([Status.NotFound, Status.NotFound]);
    faults.clear();
    expect(faults.next('b')).toBeUndefined();
  });
});
