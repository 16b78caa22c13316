import type { Edge, Figures, Topology } from './model.ts';

/** Numbers for people: short, the same on the page, in the drawing and in the text. */

export function rate(value: number): string {
  if (value === 0) return '0/s';
  if (value < 0.1) return '<0.1/s';
  return `${number(value)}/s`;
}

export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 100_000) return `${Math.round(value / 1000)}k`;
  if (size >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(1);
}

export function share(value: number | null): string {
  if (value === null) return '–';
  const percent = value * 100;
  if (percent === 0) return '0 %';
  if (percent < 0.1) return '<0.1 %';
  return `${percent >= 10 || Number.isInteger(percent) ? Math.round(percent) : percent.toFixed(1)} %`;
}

export function milliseconds(value: number | null): string {
  if (value === null) return '–';
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${value} ms`;
}

export function figures(of: Figures): string {
  return `${rate(of.rate)}, errors ${share(of.errorShare)}, p50 ${milliseconds(of.p50)}, p99 ${milliseconds(of.p99)}`;
}

/** `productpage (dev1) → reviews, wanted dev1, served base`. */
export function edgeName(edge: Edge): string {
  const [service, lane] = edge.from.split('/');
  return `${service}${lane === undefined ? '' : ` (${lane})`} → ${edge.service}, ${hop(edge)}`;
}

export function hop({ wanted, served }: Edge): string {
  if (served === 'none') return `wanted ${wanted}, nobody served`;
  return wanted === served ? `lane ${wanted}` : `wanted ${wanted}, served by ${served}`;
}

/** One name, or how many they are. */
export function someOf(names: readonly string[]): string {
  return names.length === 1 ? (names[0] ?? '') : `${names.length} Envoys`;
}

/** From the edge of the mesh inwards; the order does not change with what is called. */
export function inOrder({ columns, edges }: Topology): Edge[] {
  const order = new Map(columns.flat().map((name, index) => [name, index]));
  const rank = (from: string) => order.get(from.split('/')[0] ?? '') ?? order.size;
  return [...edges].sort((a, b) => rank(a.from) - rank(b.from) || a.id.localeCompare(b.id));
}
