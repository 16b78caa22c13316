import { number } from '../format.ts';
import { h, type Shape } from '../shape.ts';

/** A chart of lines over the last fifteen minutes. */

export interface Line {
  readonly name: string;
  readonly colour: number;
  readonly points: readonly (number | null)[];
}

export interface ChartOptions {
  readonly title: string;
  readonly unit: string;
  readonly stepSeconds: number;
  /** Points that fifteen minutes have; younger lines begin in the middle. */
  readonly steps: number;
  /** Point that is read out, from the newest. */
  readonly reading: number | undefined;
}

const WIDTH = 360;
const HEIGHT = 132;
const PLOT = { left: 40, right: 352, top: 10, bottom: 108 } as const;
const MINUTE = 60;

export function chart(lines: readonly Line[], options: ChartOptions): Shape {
  const { title, unit, steps, stepSeconds, reading } = options;
  const top = niceTop(Math.max(0, ...lines.flatMap(({ points }) => points.map((value) => value ?? 0))));
  const x = (fromNewest: number) => PLOT.right - (fromNewest / Math.max(1, steps - 1)) * (PLOT.right - PLOT.left);
  const y = (value: number) => PLOT.bottom - (value / top) * (PLOT.bottom - PLOT.top);
  const at = reading === undefined ? undefined : Math.min(reading, steps - 1);
  return h(
    'figure',
    { class: 'chart', key: title },
    h('figcaption', {}, h('span', {}, title), h('span', { class: 'reading' }, readOut(lines, at, unit, stepSeconds))),
    h(
      'svg',
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: 'img',
        tabindex: 0,
        'data-chart': title,
        'data-steps': steps,
        'aria-label': `${title}. ${summary(lines, unit)}. Left and right arrows read single points.`,
      },
      [0, 0.5, 1].map((part) => gridLine(part * top, y(part * top), unit)),
      [15, 10, 5, 0].map((minutes) => timeLabel(minutes, x((minutes * MINUTE) / stepSeconds))),
      lines.map(({ name, colour, points }) =>
        h('path', { key: `line ${name}`, class: `curve lane-${colour}`, d: path(points, x, y) }),
      ),
      at === undefined
        ? undefined
        : h('line', { key: 'cursor', class: 'cursor', x1: x(at), x2: x(at), y1: PLOT.top, y2: PLOT.bottom }),
      at === undefined ? [] : lines.flatMap((line) => dot(line, at, x, y)),
    ),
  );
}

/** Which point lies under a pointer, from the newest; `share` is its place across the drawing, 0–1. */
export function pointAt(share: number, steps: number): number {
  const across = (share * WIDTH - PLOT.left) / (PLOT.right - PLOT.left);
  return Math.max(0, Math.min(steps - 1, Math.round((1 - across) * (steps - 1))));
}

function gridLine(value: number, y: number, unit: string): Shape {
  return h(
    'g',
    { class: 'grid' },
    h('line', { x1: PLOT.left, x2: PLOT.right, y1: y, y2: y }),
    h('text', { x: PLOT.left - 6, y: y + 4, 'text-anchor': 'end' }, `${number(value)}${unit === '%' ? '%' : ''}`),
  );
}

function timeLabel(minutes: number, x: number): Shape {
  const anchor = minutes === 0 ? 'end' : minutes === 15 ? 'start' : 'middle';
  const text = minutes === 0 ? 'now' : `−${minutes} min`;
  return h('text', { class: 'time', x, y: HEIGHT - 8, 'text-anchor': anchor }, text);
}

/** Stretches of points; one alone is drawn as a short line, so that it can be seen. */
function path(points: readonly (number | null)[], x: (n: number) => number, y: (value: number) => number): string {
  const parts: string[] = [];
  let open = false;
  for (const [index, value] of points.entries()) {
    if (value === null) {
      open = false;
      continue;
    }
    const place = `${x(points.length - 1 - index).toFixed(1)} ${y(value).toFixed(1)}`;
    const alone = !open && (points[index + 1] ?? null) === null;
    parts.push(open ? `L${place}` : `M${place}`);
    if (alone) parts.push('h1.5');
    open = true;
  }
  return parts.join(' ');
}

function dot(
  { name, colour, points }: Line,
  at: number,
  x: (n: number) => number,
  y: (value: number) => number,
): Shape[] {
  const value = points.at(-1 - at) ?? null;
  return value === null
    ? []
    : [h('circle', { key: `dot ${name}`, class: `dot lane-${colour}`, cx: x(at), cy: y(value), r: 3.5 })];
}

function readOut(lines: readonly Line[], at: number | undefined, unit: string, stepSeconds: number): string {
  const values = lines.map(({ name, points }) => [name, points.at(-1 - (at ?? 0)) ?? null] as const);
  const said = values.map(([name, value]) => `${name} ${value === null ? '–' : `${number(value)}${unitText(unit)}`}`);
  const when = at === undefined || at === 0 ? '' : `${ago(at * stepSeconds)}: `;
  return when + said.join(', ');
}

function summary(lines: readonly Line[], unit: string): string {
  if (lines.length === 0) return 'Nothing yet';
  return lines
    .map(({ name, points }) => {
      const values = points.filter((value) => value !== null);
      const last = values.at(-1);
      return last === undefined
        ? `${name}: no calls`
        : `${name}: last ${number(last)}${unitText(unit)}, highest ${number(Math.max(...values))}${unitText(unit)}`;
    })
    .join('; ');
}

const unitText = (unit: string) => (unit === '/s' ? unit : ` ${unit}`);

function ago(seconds: number): string {
  return seconds < MINUTE ? `${seconds} s ago` : `${Math.floor(seconds / MINUTE)} min ${seconds % MINUTE} s ago`;
}

/** 1, 2 or 5 times a power of ten, not below the highest value. */
function niceTop(highest: number): number {
  if (highest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= highest) ?? 10 * power;
}
