import { expect, test } from 'vitest';
import { chartSvg, type Line } from '../bench-overload/svg.ts';

function chart(lines: readonly Line[], title = 'a & b < c'): string {
  const panel = { title, lines, x: [-1, 3] as const, yMost: 100, mark: { y: 60, label: 'target' } };
  return chartSvg({
    title,
    xTitle: 's',
    legend: [{ name: 'ours', colour: 0 }],
    rows: [{ title: 'y', panels: [panel] }],
  });
}

test('every element that is opened is closed, and words are escaped', () => {
  const svg = chart([{ name: 'x<y', colour: 1, points: [[0, 1]] }]);
  const open: string[] = [];
  for (const [, slash, name = '', rest = ''] of svg.matchAll(/<(\/?)([a-z]+)((?:"[^"]*"|[^<>"])*)>/g)) {
    if (slash === '/') expect(open.pop()).toBe(name);
    else if (!rest.endsWith('/')) open.push(name);
  }
  expect(open).toEqual([]);
  expect(svg).toContain('a &amp; b &lt; c');
  expect(svg).toContain('x&lt;y');
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

test('a gap interrupts the line, and values beyond the scale are drawn at its edge', () => {
  const line = (points: Line['points']): string =>
    /class="line c1" d="(M[^"]*)"><title>/.exec(chart([{ name: 'n', colour: 1, points }]))?.[1] ?? '';
  expect(
    line([
      [0, 1],
      [1, null],
      [2, 3],
    ]).match(/M/g),
  ).toHaveLength(2);
  const [, over] =
    /L[\d.]+ ([\d.]+)/.exec(
      line([
        [0, 100],
        [1, 5_000],
      ]),
    ) ?? [];
  const [, top] =
    /M[\d.]+ ([\d.]+)/.exec(
      line([
        [0, 100],
        [1, 5_000],
      ]),
    ) ?? [];
  expect(over).toBe(top);
});

test('has colours for a dark page', () => {
  expect(chart([])).toContain('@media(prefers-color-scheme:dark)');
});
