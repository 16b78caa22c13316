/** Line charts as SVG text that reads on a light and on a dark page. */

export interface Line {
  readonly name: string;
  /** Index into the palette. */
  readonly colour: number;
  /** A null leaves a gap. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
}

export interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly x: readonly [least: number, most: number];
  /** Values above are drawn at the top. */
  readonly yMost: number;
  /** A dashed line across, with its meaning. */
  readonly mark: { readonly y: number; readonly label: string } | null;
}

export interface Row {
  /** Quantity and unit of the vertical axis. */
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly legend: readonly { readonly name: string; readonly colour: number }[];
  readonly rows: readonly Row[];
}

/** Distinct also for people who see fewer colours; the second of each pair is for a dark page. */
const PALETTE = [
  ['#00734d', '#2fd6a0'],
  ['#8a8a8a', '#9a9a9a'],
  ['#c77700', '#f0a93b'],
  ['#b0447f', '#e48fc0'],
  ['#0a6ebd', '#63b3f2'],
] as const;

const PANEL = { width: 270, height: 170, gapX: 52, gapY: 62 };
const MARGIN = { left: 78, top: 92, right: 20, bottom: 48 };

export function chartSvg(chart: Chart): string {
  const columns = Math.max(...chart.rows.map(({ panels }) => panels.length));
  const width = MARGIN.left + columns * (PANEL.width + PANEL.gapX) - PANEL.gapX + MARGIN.right;
  const height = MARGIN.top + chart.rows.length * (PANEL.height + PANEL.gapY) - PANEL.gapY + MARGIN.bottom;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(chart.title)}</title>`,
    style(),
    `<rect class="page" width="${width}" height="${height}"/>`,
    text(MARGIN.left, 28, chart.title, 'title'),
    legend(chart),
  ];
  chart.rows.forEach((row, r) => {
    const top = MARGIN.top + r * (PANEL.height + PANEL.gapY);
    parts.push(
      `<text class="label" text-anchor="middle" transform="translate(18 ${top + PANEL.height / 2}) rotate(-90)">${escaped(row.title)}</text>`,
    );
    row.panels.forEach((panel, c) => {
      parts.push(drawPanel(panel, MARGIN.left + c * (PANEL.width + PANEL.gapX), top));
    });
  });
  parts.push(text(MARGIN.left, height - 12, chart.xTitle, 'label'), '</svg>');
  return `${parts.join('\n')}\n`;
}

function style(): string {
  const colours = (shade: 0 | 1): string => PALETTE.map((pair, n) => `.c${n}{--c:${pair[shade]}}`).join('');
  return `<style>
text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:16px;font-weight:600}.label{fill:#555}
.page{fill:#fff}.frame{fill:none;stroke:#bbb}.grid{stroke:#e4e4e4}.zero{stroke:#999;stroke-dasharray:2 3}
.mark{stroke:#777;stroke-dasharray:6 4}.line{fill:none;stroke:var(--c);stroke-width:1.6;stroke-linejoin:round}.c0.line{stroke-width:2.8}
${colours(0)}
@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.label{fill:#aaa}.page{fill:#14161a}.frame{stroke:#555}.grid{stroke:#2b2e34}.zero{stroke:#777}.mark{stroke:#999}${colours(1)}}
</style>`;
}

function legend({ legend: entries }: Chart): string {
  let x = MARGIN.left;
  return entries
    .map(({ name, colour }) => {
      const at = x;
      x += 46 + 7.2 * name.length;
      return `<path class="line c${colour}" d="M${at} 52h26"/>${text(at + 32, 56, name)}`;
    })
    .join('\n');
}

function drawPanel(panel: Panel, left: number, top: number): string {
  const [from, to] = panel.x;
  const x = (value: number): number => left + ((value - from) / (to - from)) * PANEL.width;
  const y = (value: number): number =>
    top + PANEL.height * (1 - Math.max(0, Math.min(value, panel.yMost)) / panel.yMost);
  const bottom = top + PANEL.height;
  const parts = [text(left, top - 8, panel.title)];
  for (const value of ticks(panel.yMost)) {
    parts.push(`<path class="grid" d="M${left} ${round(y(value))}h${PANEL.width}"/>`);
    parts.push(text(left - 6, y(value) + 4, String(value), 'label', 'end'));
  }
  for (let second = Math.ceil(from / 2) * 2; second <= to; second += 2) {
    parts.push(text(x(second), bottom + 16, String(second), 'label', 'middle'));
  }
  if (from < 0) parts.push(`<path class="zero" d="M${round(x(0))} ${top}v${PANEL.height}"/>`);
  if (panel.mark !== null) {
    const at = round(y(panel.mark.y));
    parts.push(`<path class="mark" d="M${left} ${at}h${PANEL.width}"/>`);
    parts.push(text(left + PANEL.width - 4, at - 4, panel.mark.label, 'label', 'end'));
  }
  parts.push(`<rect class="frame" x="${left}" y="${top}" width="${PANEL.width}" height="${PANEL.height}"/>`);
  // The first of the palette is drawn last, on top of the others.
  for (const line of [...panel.lines].sort((a, b) => b.colour - a.colour)) {
    parts.push(
      `<path class="line c${line.colour}" d="${path(line, x, y)}"><title>${escaped(line.name)}</title></path>`,
    );
  }
  return parts.join('\n');
}

function path({ points }: Line, x: (value: number) => number, y: (value: number) => number): string {
  let pen = 'M';
  let drawn = '';
  for (const [at, value] of points) {
    if (value === null) pen = 'M';
    else {
      drawn += `${pen}${round(x(at))} ${round(y(value))}`;
      pen = 'L';
    }
  }
  return drawn;
}

/** Four or five round values from 0 up. */
function ticks(most: number): number[] {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, n) => Number((n * step).toPrecision(6)));
}

function text(x: number, y: number, words: string, kind = '', anchor = 'start'): string {
  return `<text${kind === '' ? '' : ` class="${kind}"`} x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(words)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
