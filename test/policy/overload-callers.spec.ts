import { Callee, Fate, HOSTS } from '../../filters/overload-shedding/callers';
import { ALL, COHORTS } from '../../filters/overload-shedding/priority';

const NOW: f64 = 1.7e12;
const HALF = 5 * COHORTS + 64;

/** Fates of `count` requests of one key. */
function fates(callee: Callee, class_: i32, cohort: i32, count: i32, now: f64): StaticArray<i32> {
  const found = new StaticArray<i32>(3);
  for (let i = 0; i < count; i++) {
    const fate = callee.judge(class_, cohort, now);
    found[fate] += 1;
  }
  return found;
}

/** Enough has been sent for drops to be allowed. */
function warm(callee: Callee, now: f64): void {
  for (let i = 0; i < 200; i++) callee.judge(1, 0, now);
}

describe('a caller', () => {
  it('drops what is over the threshold, for a second, and sends one in 50 as a sample', () => {
    const callee = new Callee();
    callee.refused(7, HALF, NOW);
    expect<bool>(callee.active).toBe(true);
    warm(callee, NOW);
    const over = fates(callee, 5, 64, 500, NOW + 900);
    expect<i32>(over[Fate.Drop]).toBe(490);
    expect<i32>(over[Fate.Sample]).toBe(10);
    expect<i32>(fates(callee, 5, 63, 100, NOW + 900)[Fate.Send]).toBe(100);
    expect<u32>(callee.takeDropped(5)).toBe(490);
    expect<u32>(callee.takeDropped(5)).toBe(0);
    expect<i32>(fates(callee, 5, 64, 100, NOW + 1001)[Fate.Send]).toBe(100);
    expect<bool>(callee.active).toBe(false);
  });

  it('never drops class 0, whatever a host says', () => {
    const callee = new Callee();
    callee.refused(7, 0, NOW);
    warm(callee, NOW);
    expect<i32>(fates(callee, 0, 127, 100, NOW)[Fate.Send]).toBe(100);
    expect<bool>(fates(callee, 1, 0, 100, NOW)[Fate.Drop] > 90).toBe(true);
  });

  it('drops at most 90 %', () => {
    const callee = new Callee();
    callee.refused(7, COHORTS, NOW);
    const found = fates(callee, 5, 0, 10_000, NOW);
    expect<bool>(found[Fate.Drop] <= 9_000).toBe(true);
    expect<bool>(found[Fate.Drop] > 8_500).toBe(true);
  });

  it('drops only what every host would refuse', () => {
    const callee = new Callee();
    callee.refused(7, HALF, NOW);
    callee.answered(8, 5 * COHORTS, NOW);
    warm(callee, NOW);
    expect<i32>(fates(callee, 9, 0, 100, NOW)[Fate.Send]).toBe(100);
    callee.refused(8, 8 * COHORTS, NOW);
    expect<i32>(fates(callee, 5, 100, 100, NOW)[Fate.Send]).toBe(100);
    expect<bool>(fates(callee, 9, 0, 100, NOW)[Fate.Drop] > 90).toBe(true);
  });

  it('drops less with each answer to what would have been refused', () => {
    const callee = new Callee();
    callee.refused(7, HALF, NOW);
    warm(callee, NOW);
    callee.answered(7, HALF - 1, NOW);
    expect<bool>(fates(callee, 5, 64, 50, NOW)[Fate.Drop] > 40).toBe(true);
    callee.answered(7, HALF, NOW);
    expect<i32>(fates(callee, 5, 79, 50, NOW)[Fate.Send]).toBe(50);
    expect<bool>(fates(callee, 5, 80, 50, NOW)[Fate.Drop] > 40).toBe(true);
    for (let i = 0; i < 100; i++) callee.answered(7, 9 * COHORTS + 127, NOW);
    expect<i32>(fates(callee, 9, 127, 50, NOW)[Fate.Send]).toBe(50);
  });

  it('remembers a bounded number of hosts, the most generous of them', () => {
    const callee = new Callee();
    callee.refused(0, ALL, NOW);
    for (let i = 1; i <= HOSTS * 3; i++) callee.refused(i, COHORTS, NOW);
    warm(callee, NOW);
    expect<i32>(fates(callee, 9, 0, 100, NOW)[Fate.Send]).toBe(100);
  });

  it('forgets what a clock that is set back has left', () => {
    const callee = new Callee();
    callee.refused(7, COHORTS, NOW);
    expect<i32>(fates(callee, 5, 0, 10, NOW - 5000)[Fate.Send]).toBe(10);
    expect<bool>(callee.active).toBe(false);
  });
});
