import { ascii } from 'proxy-wasm-assemblyscript-sdk/slice';
import { InFlight } from '../../filters/overload-shedding/in-flight';
import { Merge, RECORD_LIFE_MS } from '../../filters/overload-shedding/merge';
import { Meter, Sum } from '../../filters/overload-shedding/meter';
import { ALL, CLASSES, COHORTS, classOf, cohortOf, patience } from '../../filters/overload-shedding/priority';
import { thresholdFor } from '../../filters/overload-shedding/threshold';

const NOW: f64 = 1.7e12;
const classes = new StaticArray<f64>(CLASSES);

describe('requests in flight', () => {
  it('stay as ghosts until a later one completes, or for a second', () => {
    const flight = new InFlight();
    const first = flight.admit();
    const second = flight.admit();
    const third = flight.admit();
    flight.cancel(first, NOW);
    flight.cancel(third, NOW);
    expect<i32>(flight.count(NOW)).toBe(3);
    flight.complete(second);
    expect<i32>(flight.count(NOW)).toBe(1, 'the third was admitted later');
    expect<i32>(flight.count(NOW + 999)).toBe(1);
    expect<i32>(flight.count(NOW + 1001)).toBe(0);
  });

  it('forget ghosts when the clock is set back', () => {
    const flight = new InFlight();
    flight.cancel(flight.admit(), NOW);
    expect<i32>(flight.count(NOW - 3_600_000)).toBe(0);
  });

  it('never fall below nothing, and hold more ghosts than fit', () => {
    const flight = new InFlight();
    expect<bool>(flight.leave(1)).toBe(false);
    expect<i32>(flight.open).toBe(0);
    for (let i = 0; i < 3000; i++) flight.cancel(flight.admit(), NOW);
    expect<i32>(flight.count(NOW)).toBe(1024);
    flight.complete(flight.admit());
    expect<i32>(flight.count(NOW)).toBe(0);
  });
});

describe('streams', () => {
  it('count for 16 seconds and no longer, and nothing is learned from their end', () => {
    const flight = new InFlight();
    flight.age(NOW);
    const stream = flight.admit();
    for (let second = 1; second <= 15; second++) flight.age(NOW + second * 1000);
    const request = flight.admit();
    expect<i32>(flight.count(NOW)).toBe(2);
    flight.age(NOW + 15_500);
    expect<i32>(flight.count(NOW)).toBe(2, 'no second has passed');
    flight.age(NOW + 16_000);
    expect<i32>(flight.count(NOW)).toBe(1, 'the request is left');
    expect<bool>(flight.complete(stream)).toBe(false);
    flight.cancel(stream, NOW + 16_000);
    expect<i32>(flight.count(NOW + 16_000)).toBe(1);
    expect<bool>(flight.complete(request)).toBe(true);
    expect<i32>(flight.count(NOW + 16_000)).toBe(0);
  });

  it('are told from requests of any second, also where numbers begin anew', () => {
    const flight = new InFlight();
    const open = new StaticArray<u32>(40);
    for (let second = 0; second < 40; second++) {
      flight.age(NOW + (second as f64) * 1000);
      open[second] = flight.admit();
    }
    expect<i32>(flight.count(NOW)).toBe(16);
    for (let second = 0; second < 40; second++) expect<bool>(flight.leave(open[second])).toBe(second >= 24);
    expect<i32>(flight.count(NOW)).toBe(0);
    expect<bool>(flight.leave(open[39])).toBe(false, 'it has left');
  });

  it('are not made by a clock that is set back', () => {
    const flight = new InFlight();
    flight.age(NOW);
    flight.admit();
    flight.age(NOW - 3_600_000);
    expect<i32>(flight.count(NOW)).toBe(1);
  });
});

describe('a meter', () => {
  it('gives rates over at least 240 ms', () => {
    const meter = new Meter();
    meter.roll(NOW);
    for (let tick = 1; tick <= 5; tick++) {
      for (let i = 0; i < 10; i++) meter.add(Sum.Offered, 1);
      meter.roll(NOW + tick * 100);
    }
    expect<f64>(meter.window[Sum.Elapsed]).toBe(300);
    expect<f64>(meter.rate(Sum.Offered)).toBe(0.1);
  });

  it('starts anew when the clock is set', () => {
    const meter = new Meter();
    meter.roll(NOW);
    meter.add(Sum.Offered, 100);
    meter.roll(NOW - 5000);
    expect<f64>(meter.rate(Sum.Offered)).toBe(0);
    meter.add(Sum.Offered, 10);
    meter.roll(NOW - 4900);
    expect<f64>(meter.rate(Sum.Offered)).toBe(0.1);
  });
});

describe('records of workers', () => {
  it('add up, and the old and the odd are passed over', () => {
    const meter = new Meter();
    meter.roll(NOW - 300);
    meter.add(Sum.Completed, 30);
    meter.offer(1, 5);
    meter.roll(NOW);
    const other = new Merge();
    other.begin();
    other.addOwn(meter, 7);
    const record = other.record(NOW, 1, 0.5, 10);
    const sums = new Merge();
    sums.begin();
    expect<bool>(sums.add(record, 3, NOW + 10)).toBe(true);
    expect<bool>(sums.add(record, 2, NOW + RECORD_LIFE_MS + 1)).toBe(false, 'old');
    expect<bool>(sums.add(record, 2, NOW - 1e6)).toBe(false, 'of a time to come');
    expect<bool>(sums.add(ascii('something else'), 2, NOW)).toBe(false);
    sums.addOwn(meter, 3);
    expect<f64>(sums.rate(Sum.Completed)).toBe(0.2);
    expect<f64>(sums.inFlight).toBe(10);
    expect<f64>(sums.classes[1]).toBe(10);
    expect<i32>(sums.leader).toBe(3);
    expect<f64>(sums.leaderBase).toBe(10);
    expect<f64>(sums.proven).toBe(0.5);
    expect<u32>(sums.flags).toBe(1);
  });
});

describe('a threshold', () => {
  it('lets the most important through', () => {
    classes.fill(0);
    classes[1] = 30;
    classes[5] = 70;
    expect<i32>(thresholdFor(1000, 1000, classes)).toBe(ALL);
    expect<i32>(thresholdFor(650, 1000, classes)).toBe(5 * COHORTS + 64);
    expect<i32>(thresholdFor(300, 1000, classes)).toBe(5 * COHORTS);
    expect<i32>(thresholdFor(150, 1000, classes)).toBe(COHORTS + 64);
    expect<i32>(thresholdFor(0, 1000, classes)).toBe(COHORTS);
  });

  it('is never below class 0, and nothing without a sample', () => {
    classes.fill(0);
    expect<i32>(thresholdFor(1, 1000, classes)).toBe(ALL);
    classes[0] = 100;
    classes[9] = 1;
    expect<i32>(thresholdFor(1, 1000, classes)).toBe(9 * COHORTS);
    expect<i32>(thresholdFor(NaN, 1000, classes)).toBe(ALL);
  });
});

describe('a class', () => {
  it('is one digit', () => {
    expect<i32>(classOf(ascii('0'))).toBe(0);
    expect<i32>(classOf(ascii('9'))).toBe(9);
    const odd = ['', '10', 'a', '-', ' 1', '1, 1', '\u0661'];
    for (let i = 0; i < odd.length; i++) expect<i32>(classOf(ascii(odd[i]))).toBe(-1, odd[i]);
  });

  it('is granted no more patience than a more important one', () => {
    for (let i = 1; i < CLASSES; i++) expect<bool>(patience(i) <= patience(i - 1)).toBe(true);
  });

  it('is cut into cohorts that change with the hour alone', () => {
    const used = new StaticArray<i32>(COHORTS);
    let moved = 0;
    for (let i: u64 = 1; i <= 12_800; i++) {
      const cohort = cohortOf(i * 0x9e3779b97f4a7c15, NOW);
      used[cohort]++;
      expect<i32>(cohortOf(i * 0x9e3779b97f4a7c15, NOW + 1)).toBe(cohort);
      if (cohortOf(i * 0x9e3779b97f4a7c15, NOW + 3_600_000) !== cohort) moved++;
    }
    for (let i = 0; i < COHORTS; i++) expect<bool>(used[i] > 50 && used[i] < 150).toBe(true);
    expect<bool>(moved > 12_000).toBe(true);
    cohortOf(1, NaN);
    cohortOf(1, -1);
    cohortOf(1, Infinity);
  });
});
