import type { Edge, Place, Topology } from './model.ts';

/** Where everything stands in the drawing, in pixels. Services stand in columns, lanes are tracks from left to right. */

export interface Box {
  readonly place: Place;
  readonly x: number;
  readonly y: number;
}

export interface Track {
  readonly lane: string;
  /** Number of its colour; 0 is the baseline's. */
  readonly colour: number;
  readonly y: number;
  readonly height: number;
}

export interface Wire {
  readonly edge: Edge;
  readonly colour: number;
  /** SVG path. */
  readonly path: string;
  /** Where a label may stand. */
  readonly label: { readonly x: number; readonly y: number };
  readonly width: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly tracks: readonly Track[];
  readonly boxes: readonly Box[];
  readonly wires: readonly Wire[];
}

export const BOX = { width: 152, height: 58 } as const;
export const COLOURS = 8;

const LEFT = 118;
const RIGHT = 40;
const COLUMN_GAP = 104;
const ROW_GAP = 20;
const TRACK_PADDING = 16;
const TRACK_GAP = 10;
const TOP = 4;
/** Between the ends of two wires at one box. */
const PORT_GAP = 8;

interface Point {
  readonly x: number;
  readonly y: number;
}

export function laneColour(topology: Topology, lane: string): number {
  const at = topology.lanes.findIndex(({ name }) => name === lane);
  if (at <= 0) return 0;
  return 1 + ((at - 1) % (COLOURS - 1));
}

export function layout(topology: Topology): Layout {
  const { tracks, boxes, height } = stack(topology);
  const width = LEFT + topology.columns.length * (BOX.width + COLUMN_GAP) - COLUMN_GAP + RIGHT;
  return { width, height, tracks, boxes, wires: wires(topology, boxes, tracks) };
}

/** Tracks under each other; in each, the places of one column under each other. */
function stack(topology: Topology): { tracks: Track[]; boxes: Box[]; height: number } {
  const column = new Map(topology.columns.flatMap((names, index) => names.map((name) => [name, index] as const)));
  const lanes = [...new Set([...topology.lanes.map(({ name }) => name), ...topology.places.map(({ lane }) => lane)])];
  const tracks: Track[] = [];
  const boxes: Box[] = [];
  let y = TOP;
  for (const lane of lanes) {
    const here = topology.places.filter((place) => place.lane === lane);
    if (here.length === 0) continue;
    const columns = new Map<number, Place[]>();
    for (const place of here) {
      const index = column.get(place.service) ?? topology.columns.length - 1;
      columns.set(index, [...(columns.get(index) ?? []), place]);
    }
    const rows = Math.max(...[...columns.values()].map(({ length }) => length));
    const height = 2 * TRACK_PADDING + rows * BOX.height + (rows - 1) * ROW_GAP;
    tracks.push({ lane, colour: laneColour(topology, lane), y, height });
    for (const [index, places] of columns) {
      // A single box stands in the middle of its track.
      const taken = places.length * BOX.height + (places.length - 1) * ROW_GAP;
      const top = y + (height - taken) / 2;
      for (const [row, place] of places.entries()) {
        boxes.push({ place, x: LEFT + index * (BOX.width + COLUMN_GAP), y: top + row * (BOX.height + ROW_GAP) });
      }
    }
    y += height + TRACK_GAP;
  }
  return { tracks, boxes, height: y - TRACK_GAP + TOP };
}

function wires(topology: Topology, boxes: readonly Box[], tracks: readonly Track[]): Wire[] {
  const byId = new Map(boxes.map((box) => [box.place.id, box]));
  const placed = topology.edges.flatMap((edge) => {
    const [from, to] = [byId.get(edge.from), byId.get(edge.to)];
    return from && to ? [{ edge, from, to, colour: laneColour(topology, edge.wanted) }] : [];
  });
  const busiest = Math.max(1, ...topology.edges.map(({ rate }) => rate));
  const out = ports(placed, 'from', 'to');
  const into = ports(placed, 'to', 'from');
  const channels = new Channels(tracks, boxes);
  return placed.map(({ edge, from, to, colour }) => {
    const start = { x: from.x + BOX.width, y: from.y + BOX.height / 2 + (out.get(edge.id) ?? 0) };
    const end = { x: to.x, y: to.y + BOX.height / 2 + (into.get(edge.id) ?? 0) };
    const width = edge.rate > 0 ? 1.4 + 2.6 * Math.sqrt(edge.rate / busiest) : 1.2;
    const rounded = Math.round(width * 10) / 10;
    if (end.x <= start.x) {
      const row = channels.back(start, end);
      return {
        edge,
        colour,
        path: loop(start, end, row),
        label: { x: round((start.x + end.x) / 2), y: row },
        width: rounded,
      };
    }
    const points = [start, ...channels.between(start, end), end];
    return { edge, colour, path: curve(points), label: labelPoint(points), width: rounded };
  });
}

/** Distances of wires' ends from the middle of their box, in the order of where they lead, so that few cross. */
function ports(
  placed: readonly { edge: Edge; from: Box; to: Box; colour: number }[],
  side: 'from' | 'to',
  other: 'from' | 'to',
): Map<string, number> {
  const groups = new Map<Box, typeof placed>();
  for (const item of placed) groups.set(item[side], [...(groups.get(item[side]) ?? []), item]);
  const offsets = new Map<string, number>();
  for (const group of groups.values()) {
    const sorted = [...group].sort((a, b) => a[other].y - b[other].y || a.colour - b.colour);
    const gap = Math.min(PORT_GAP, (BOX.height - 14) / Math.max(1, sorted.length - 1));
    for (const [n, { edge }] of sorted.entries()) offsets.set(edge.id, (n - (sorted.length - 1) / 2) * gap);
  }
  return offsets;
}

/** The free ways between boxes, for wires that pass columns. Wires in one way run beside each other. */
class Channels {
  private readonly used = new Map<number, number>();
  private readonly boxes: readonly Box[];
  private readonly rows: readonly number[];

  constructor(tracks: readonly Track[], boxes: readonly Box[]) {
    this.boxes = boxes;
    const gaps = tracks.flatMap(({ y, height }) => [y + 6, y + height - 6]);
    const between = boxes.map(({ y }) => y - ROW_GAP / 2);
    this.rows = [...new Set([...gaps, ...between])].sort((a, b) => a - b);
  }

  /** Points in front of and behind what stands in the way; none where nothing does. */
  between(start: Point, end: Point): Point[] {
    const passed = this.boxes.filter(({ x }) => x > start.x && x + BOX.width < end.x);
    if (passed.length === 0) return [];
    const left = Math.min(...passed.map(({ x }) => x));
    const right = Math.max(...passed.map(({ x }) => x + BOX.width));
    const y = this.free(passed, (start.y + end.y) / 2, [start.y, end.y]);
    if (y === undefined) return [];
    return [
      { x: left - 10, y },
      { x: right + 10, y },
    ];
  }

  /** Height of the way back to a callee that stands to the left, past everything between. */
  back(start: Point, end: Point): number {
    const passed = this.boxes.filter(({ x }) => x + BOX.width >= end.x && x < start.x);
    return this.free(passed, (start.y + end.y) / 2, []) ?? start.y + BOX.height;
  }

  /** A height at which none of these boxes stands, near a wanted one. */
  private free(passed: readonly Box[], wanted: number, more: readonly number[]): number | undefined {
    const isFree = (y: number) => passed.every((box) => y < box.y - 3 || y > box.y + BOX.height + 3);
    const nearest = (a: number, b: number) => Math.abs(a - wanted) - Math.abs(b - wanted);
    const row = [...more, ...this.rows].filter(isFree).sort(nearest)[0];
    if (row === undefined) return undefined;
    const taken = this.used.get(row) ?? 0;
    this.used.set(row, taken + 1);
    return row + (taken % 2 === 0 ? 1 : -1) * Math.ceil(taken / 2) * 4;
  }
}

/** Out to the right, back along a row, in from the left. */
function loop(start: Point, end: Point, row: number): string {
  const [out, into] = [start.x + 44, end.x - 44].map(round);
  const y = round(row);
  const [sx, sy, ex, ey] = [start.x, start.y, end.x, end.y].map(round);
  return `M${sx} ${sy} C${out} ${sy} ${out} ${y} ${sx} ${y} C${sx} ${y} ${ex} ${y} ${ex} ${y} C${into} ${y} ${into} ${ey} ${ex} ${ey}`;
}

/** Level at each point, so that a wire leaves and enters boxes straight. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${round(first.x)} ${round(first.y)}`;
  let last = first;
  for (const point of rest) {
    const reach = point.x > last.x ? Math.min(90, (point.x - last.x) / 2) : 70;
    path += ` C${round(last.x + reach)} ${round(last.y)} ${round(point.x - reach)} ${round(point.y)} ${round(point.x)} ${round(point.y)}`;
    last = point;
  }
  return path;
}

/** The middle of the first stretch, which no other box's wires share. */
function labelPoint(points: readonly Point[]): Point {
  const [a, b] = points;
  return a && b ? { x: round((a.x + b.x) / 2), y: round((a.y + b.y) / 2) } : { x: 0, y: 0 };
}

const round = (value: number) => Math.round(value * 10) / 10;
