import { drawing } from './drawing.ts';
import { GRAPH_STYLE } from './graph-style.ts';
import type { Topology } from './model.ts';
import { h, markup } from './shape.ts';

/** The graph as a file of its own, light or dark as its reader wishes. */
export function topologySvg(topology: Topology): string {
  const shape = drawing(topology);
  const attributes = { xmlns: 'http://www.w3.org/2000/svg', ...shape.attributes };
  const background = h('rect', { width: '100%', height: '100%', fill: 'var(--card)' });
  return `${markup({ ...shape, attributes, children: [h('style', {}, GRAPH_STYLE), background, ...shape.children] })}\n`;
}
