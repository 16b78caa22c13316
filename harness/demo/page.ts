import type { Exchange, SceneResult } from './scene.ts';

/** Columns of a swim-lane picture, in the order of calls. */
const SERVICES = ['gateway', 'productpage', 'details', 'reviews', 'ratings'] as const;
const COLUMN = 130;
const ROW = 46;
const LEFT = 92;

/** The story as one page that needs nothing beside itself: each request drawn as its way through the lanes. */
export function demoPage(results: readonly SceneResult[]): string {
  const held = results.filter(({ holds }) => holds).length;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Causeway: the lane story</title><style>${STYLE}</style></head><body>
<header><h1>The lane story</h1><p>${held} of ${results.length} scenes hold. Every way below was told by the applications themselves, which know no
lane; the proxies’ own claims were compared with it.</p>
<nav>${results.map(({ number, title, holds }) => `<a class="${holds ? 'ok' : 'bad'}" href="#s${number}">${number} ${escapeHtml(title)}</a>`).join('')}</nav></header>
<main>${results.map(scene).join('\n')}</main></body></html>
`;
}

function scene(result: SceneResult): string {
  const checks = result.checks.map(
    ({ what, holds, found }) =>
      `<li class="${holds ? 'ok' : 'bad'}">${escapeHtml(what)}${holds ? '' : ` <code>${escapeHtml(found)}</code>`}</li>`,
  );
  const figures = result.figures.map(
    ({ name, value, unit }) => `<tr><th>${escapeHtml(name)}</th><td>${value} ${escapeHtml(unit)}</td></tr>`,
  );
  return `<section id="s${result.number}"><h2><span class="${result.holds ? 'ok' : 'bad'}">${result.number}</span> ${escapeHtml(result.title)}</h2>
<p>${escapeHtml(result.shows)}</p>
${result.exchanges.map(exchange).join('\n')}
${checks.length > 0 ? `<ul class="checks">${checks.join('')}</ul>` : ''}
${figures.length > 0 ? `<table>${figures.join('')}</table>` : ''}</section>`;
}

function exchange(item: Exchange): string {
  const missing = item.holds ? '' : `<p class="bad">expected ${escapeHtml(item.expected.join(' → '))}</p>`;
  return `<figure class="${item.holds ? 'ok' : 'bad'}"><figcaption><code>${escapeHtml(item.request)}</code></figcaption>${drawing(item)}${missing}</figure>`;
}

/** Rows are lanes, columns services; a line per call, from the caller to who answered. */
function drawing({ hops }: Exchange): string {
  const places = hops.map((hop) => /^([a-z]+)([:!])(.+)$/.exec(hop));
  const lanes = [
    'base',
    ...new Set(places.flatMap((place) => (place?.[2] === ':' && place[3] !== 'base' ? [place[3] ?? ''] : []))),
  ];
  const row = (lane: string) => 24 + Math.max(0, lanes.indexOf(lane)) * ROW;
  const column = (service: string) =>
    LEFT + Math.max(0, SERVICES.indexOf(service as (typeof SERVICES)[number])) * COLUMN;
  const dots = [{ service: 'gateway', x: column('gateway'), y: row('base'), label: 'gateway', bad: false }];
  const lines: string[] = [];
  for (const place of places) {
    if (!place) continue;
    const [, service = '', kind, lane = ''] = place;
    const bad = kind === '!';
    const caller = callerOf(service, dots);
    const dot = {
      service,
      x: column(service),
      y: bad ? (caller?.y ?? row('base')) : row(lane),
      label: bad ? `${service} ${lane}` : service,
      bad,
    };
    if (caller) lines.push(`<path class="${bad ? 'cut' : ''}" d="${curve(caller, dot)}"/>`);
    dots.push(dot);
  }
  const height = 24 + (lanes.length - 1) * ROW + 30;
  const width = LEFT + (SERVICES.length - 1) * COLUMN + 70;
  const bands = lanes.map(
    (lane, n) =>
      `<rect class="band${n}" x="0" y="${4 + n * ROW}" width="${width}" height="${ROW - 6}" rx="8"/><text class="lane" x="12" y="${29 + n * ROW}">${escapeHtml(lane)}</text>`,
  );
  const marks = dots.map(
    ({ x, y, label, bad }) =>
      `<circle class="${bad ? 'cut' : ''}" cx="${x}" cy="${y}" r="7"/><text x="${x}" y="${y - 12}" text-anchor="middle">${escapeHtml(label)}</text>`,
  );
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(hops.join(', '))}">${bands.join('')}${lines.join('')}${marks.join('')}</svg>`;
}

interface Dot {
  service: string;
  x: number;
  y: number;
}

/** Who calls whom in Bookinfo: reviews calls ratings, productpage the rest. */
function callerOf(service: string, dots: readonly Dot[]): Dot | undefined {
  const named = (name: string) => dots.findLast((dot) => dot.service === name);
  if (service === 'ratings') return named('reviews') ?? named('productpage');
  return service === 'productpage' ? named('gateway') : (named('productpage') ?? named('gateway'));
}

function curve(from: Dot, to: Dot): string {
  const middle = (from.x + to.x) / 2;
  // Between two services of one lane the line bows, so that it does not run through a third one's dot.
  const bow = from.y === to.y && to.x - from.x > COLUMN ? 26 : 0;
  return `M${from.x} ${from.y} C${middle} ${from.y + bow} ${middle} ${to.y + bow} ${to.x} ${to.y}`;
}

function escapeHtml(value: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return value.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

const STYLE = `
:root { --ink: #1d2433; --soft: #68728a; --line: #dfe4ee; --ok: #1c8a4d; --bad: #b3261e; --accent: #2b5fd9; }
body { margin: 0; background: #f5f7fb; color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 62rem; margin: 0 auto; padding: 1.5rem; } h1 { margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; } nav a { text-decoration: none; font-size: .85rem; padding: .15rem .6rem; border-radius: 99px; background: #fff; border: 1px solid var(--line); }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.4rem; margin-bottom: 1.2rem; }
h2 { margin: 0 0 .3rem; font-size: 1.15rem; } h2 span { display: inline-block; min-width: 1.7rem; text-align: center; border-radius: 6px; color: #fff; }
h2 span.ok { background: var(--ok); } h2 span.bad { background: var(--bad); } section > p { margin: 0 0 .8rem; color: var(--soft); }
figure { margin: 0 0 1rem; padding-left: .8rem; border-left: 3px solid var(--line); } figure.ok { border-color: var(--ok); } figure.bad { border-color: var(--bad); }
code { font-size: .85rem; overflow-wrap: anywhere; } svg { width: 100%; max-width: 46rem; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--ink); } svg .lane { fill: var(--soft); font-weight: 600; }
svg rect { fill: #eef1f7; } svg .band1 { fill: #e5edff; } svg .band2 { fill: #fdeefc; } svg path { fill: none; stroke: var(--accent); stroke-width: 2; }
svg circle { fill: var(--accent); } svg circle.cut { fill: var(--bad); } svg path.cut { stroke: var(--bad); stroke-dasharray: 5 4; }
.ok { color: var(--ok); } .bad { color: var(--bad); } ul.checks { margin: 0 0 .6rem; padding-left: 1.2rem; } ul.checks li { color: var(--ink); }
ul.checks li::marker { content: '✓ '; color: var(--ok); } ul.checks li.bad::marker { content: '✗ '; color: var(--bad); }
table { border-collapse: collapse; font-size: .9rem; } th { text-align: left; font-weight: 400; color: var(--soft); padding: .1rem 1.2rem .1rem 0; }
`;
