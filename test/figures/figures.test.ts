import { expect, test } from 'vitest';
import { allHold, judge, type Measured, readTargets, type Target } from './figures.ts';

const COST: Target = {
  target: 'bench',
  name: 'fused',
  metric: 'cpu over floor',
  comparator: '<=',
  value: 6,
  unit: 'µs',
  peers: ['floor'],
};
const measured = (value: number, peers: Record<string, number | null> = { floor: 23 }): Measured => ({
  name: 'fused',
  metric: 'cpu over floor',
  value,
  unit: 'µs',
  peers,
});

test('a figure within its target holds, at the bound too', () => {
  expect(allHold(judge('bench', [measured(5.9)], [COST]))).toBe(true);
  expect(allHold(judge('bench', [measured(6)], [COST]))).toBe(true);
});

test('a figure past its target does not hold', () => {
  const figures = judge('bench', [measured(6.1)], [COST]);
  expect(figures).toMatchObject([{ name: 'fused', value: 6.1, target: '<= 6', holds: false }]);
  expect(allHold(figures)).toBe(false);
});

test('a listed figure that nobody measured does not hold', () => {
  const figures = judge('bench', [], [COST]);
  expect(figures).toMatchObject([{ value: null, holds: false, peers: { floor: null } }]);
  expect(allHold(figures)).toBe(false);
});

test('a figure without one of its peers does not hold', () => {
  expect(allHold(judge('bench', [measured(1, {})], [COST]))).toBe(false);
  expect(allHold(judge('bench', [measured(1, { floor: null })], [COST]))).toBe(false);
  expect(allHold(judge('bench', [measured(1, { floor: Number.NaN })], [COST]))).toBe(false);
});

test('NaN is not measured', () => {
  expect(judge('bench', [measured(Number.NaN)], [COST])).toMatchObject([{ value: null, holds: false }]);
});

test('figures beyond the list are kept and judge nothing', () => {
  const extra: Measured = { name: 'fused', metric: 'rate', value: 1, unit: '/s' };
  expect(judge('bench', [measured(1), extra], [COST])).toMatchObject([
    { target: '<= 6' },
    { target: null, holds: true },
  ]);
});

test('a target that the list does not have cannot pass', () => {
  expect(allHold(judge('bensh', [measured(1)], [COST]))).toBe(false);
});

test('another unit than the list says is an error', () => {
  expect(() => judge('bench', [{ ...measured(1), unit: 'ms' }], [COST])).toThrow('measured in ms');
});

test('a range holds at both ends and not beyond', () => {
  const range: Target = { ...COST, comparator: 'within', value: [0.95, 1.05] };
  const holds = (value: number): boolean => allHold(judge('bench', [measured(value)], [range]));
  expect([0.94, 0.95, 1.05, 1.06].map(holds)).toEqual([false, true, true, false]);
});

test('the committed list is sound', () => {
  expect(readTargets().length).toBeGreaterThan(0);
});
