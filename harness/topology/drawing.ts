import { edgeName, figures, milliseconds, rate, share } from './format.ts';
import { BOX, type Box, type Layout, laneColour, layout, type Track, type Wire } from './layout.ts';
import { NOBODY, type Topology } from './model.ts';
import { h, type Shape } from './shape.ts';

/** The graph as SVG, for the page and for a file. */

export interface DrawingOptions {
  /** Id of an edge, or of a place: what is not about it is drawn faintly. */
  readonly selected?: string;
  /** Only this lane's calls are drawn strongly. */
  readonly lane?: string;
  /** Boxes and wires can be reached with the keyboard. */
  readonly interactive?: boolean;
}

/** Share of failed calls from which on a wire says so. */
const WORTH_SAYING = 0.005;
const MOST_FITTING = 6;
const TAG = { height: 18 } as const;

export function drawing(topology: Topology, options: DrawingOptions = {}): Shape {
  const made = layout(topology);
  const silent = new Set(topology.proxies.filter(({ state }) => state === 'silent').map(({ id }) => id));
  const title = `Services of ${topology.mesh} by lane, with the calls between them`;
  return h(
    'svg',
    {
      // A wide one is scrolled rather than made too small to read.
      class: topology.columns.length > MOST_FITTING ? 'graph wide' : 'graph',
      viewBox: `0 0 ${made.width} ${made.height}`,
      width: made.width,
      height: made.height,
      role: options.interactive ? 'group' : 'img',
      'aria-label': title,
    },
    h(
      'g',
      { key: 'tracks' },
      made.tracks.map((track) => trackShape(track, made, topology)),
    ),
    h(
      'g',
      { key: 'wires' },
      byWeight(made.wires).map((wire) => wireShape(wire, options)),
    ),
    h(
      'g',
      { key: 'boxes' },
      made.boxes.map((box) => boxShape(box, topology, silent, options)),
    ),
    h('g', { key: 'tags' }, tags(made.wires, options)),
  );
}

/** Faint ones first, so that nothing that matters lies beneath them. */
function byWeight(wires: readonly Wire[]): Wire[] {
  return [...wires].sort((a, b) => Number(a.edge.rate > 0) - Number(b.edge.rate > 0) || b.width - a.width);
}

function trackShape({ lane, colour, y, height }: Track, { width }: Layout, topology: Topology): Shape {
  const info = topology.lanes.find(({ name }) => name === lane);
  const note = info?.mode === 'baseline' ? 'baseline' : (info?.mode ?? '');
  return h(
    'g',
    { key: lane, class: `track lane-${colour}` },
    h('rect', { class: 'band', x: 0, y, width, height, rx: 10 }),
    h('rect', { class: 'edge', x: 0, y, width: 4, height, rx: 2 }),
    h('text', { class: 'lane-name', x: 18, y: y + height / 2 - 2 }, shorten(lane, 13), h('title', {}, lane)),
    h('text', { class: 'lane-mode', x: 18, y: y + height / 2 + 14 }, note),
  );
}

function wireShape({ edge, colour, path, width }: Wire, options: DrawingOptions): Shape {
  const failing = (edge.errorShare ?? 0) >= WORTH_SAYING;
  const classes = [
    'wire',
    `lane-${colour}`,
    edge.fallback && 'fallback',
    edge.served === NOBODY && 'nobody',
    edge.rate === 0 && 'idle',
    failing && 'failing',
    isFaint(edge, options) && 'faint',
    options.selected === edge.id && 'selected',
  ];
  const name = `${edgeName(edge)}: ${figures(edge)}`;
  return h(
    'g',
    {
      key: edge.id,
      class: words(classes),
      ...(options.interactive
        ? { tabindex: 0, role: 'button', 'aria-label': name, 'data-select': `edge:${edge.id}` }
        : {}),
    },
    h('path', { class: 'line', d: path, 'stroke-width': width }),
    options.interactive && h('path', { class: 'hit', d: path }),
    h('title', {}, name),
  );
}

function isFaint(edge: Wire['edge'], { selected, lane }: DrawingOptions): boolean {
  if (lane !== undefined && edge.wanted !== lane) return true;
  return selected !== undefined && selected !== edge.id && selected !== edge.from && selected !== edge.to;
}

/** Failed calls are always said; rates where the wire is chosen. */
function tags(wires: readonly Wire[], options: DrawingOptions): Shape[] {
  const taken: { x: number; y: number }[] = [];
  return wires.flatMap(({ edge, label, colour }) => {
    const failed = (edge.errorShare ?? 0) >= WORTH_SAYING;
    const chosen = [edge.id, edge.from, edge.to].includes(options.selected ?? '');
    if (edge.rate === 0 || isFaint(edge, options) || !(failed || chosen)) return [];
    const text = failed ? `${share(edge.errorShare)} fail` : rate(edge.rate);
    const width = 12 + text.length * 6.2;
    let { x, y } = label;
    while (taken.some((other) => Math.abs(other.x - x) < width && Math.abs(other.y - y) < TAG.height + 1)) y += 4;
    taken.push({ x, y });
    return h(
      'g',
      { key: edge.id, class: `tag lane-${colour}${failed ? ' failing' : ''}`, 'aria-hidden': 'true' },
      h('rect', { x: x - width / 2, y: y - TAG.height / 2, width, height: TAG.height, rx: TAG.height / 2 }),
      h('text', { x, y: y + 4, 'text-anchor': 'middle' }, text),
    );
  });
}

function boxShape(box: Box, topology: Topology, silent: ReadonlySet<string>, options: DrawingOptions): Shape {
  const { place, x, y } = box;
  const { service, lane, kind, instances, versions } = place;
  const away = instances.filter((id) => silent.has(id)).length;
  const state = kind === 'absent' ? 'no instance' : stateText(instances.length, away, versions, kind);
  const faint =
    options.selected !== undefined &&
    options.selected !== place.id &&
    !topology.edges.some(
      (edge) =>
        (edge.from === place.id || edge.to === place.id) &&
        (edge.id === options.selected || edge.from === options.selected || edge.to === options.selected),
    );
  const classes = [
    'box',
    kind,
    `lane-${laneColour(topology, lane)}`,
    away > 0 && (away === instances.length ? 'down' : 'partly'),
    (place.errorShare ?? 0) >= WORTH_SAYING && 'failing',
    options.selected === place.id && 'selected',
    faint && 'faint',
  ];
  const name = `${service}${kind === 'gateway' ? '' : `, lane ${lane}`}: ${state}; ${figures(place)}`;
  const quick = place.rate > 0 ? `${rate(place.rate)} · p99 ${milliseconds(place.p99)}` : 'no calls';
  return h(
    'g',
    {
      key: place.id,
      class: words(classes),
      transform: `translate(${x} ${y})`,
      ...(options.interactive
        ? { tabindex: 0, role: 'button', 'aria-label': name, 'data-select': `place:${place.id}` }
        : {}),
    },
    h('rect', { class: 'card', width: BOX.width, height: BOX.height, rx: 9 }),
    place.entrance &&
      h('path', { class: 'entrance', d: `M0 ${BOX.height / 2 - 7} L8 ${BOX.height / 2} L0 ${BOX.height / 2 + 7} Z` }),
    h('circle', { class: 'health', cx: BOX.width - 14, cy: 17, r: 4 }),
    h('text', { class: 'name', x: 15, y: 21 }, shorten(service, 15)),
    h('text', { class: 'about', x: 15, y: 35 }, shorten(state, 22)),
    h('text', { class: 'figures', x: 15, y: 49 }, kind === 'absent' ? '' : quick),
    h('title', {}, name),
  );
}

function stateText(count: number, away: number, versions: readonly string[], kind: string): string {
  if (away > 0) return away === count ? 'does not answer' : `${away} of ${count} do not answer`;
  if (kind === 'gateway') return 'edge of the mesh';
  const many = count === 1 ? '1 instance' : `${count} instances`;
  return versions.length === 0 ? many : `${versions.join(', ')} · ${many}`;
}

function words(classes: readonly (string | false)[]): string {
  return classes.filter((word) => word !== false).join(' ');
}

function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
