import { describe, expect, it } from 'vitest';
import { drawing } from '../../harness/topology/drawing.ts';
import { BOX, layout } from '../../harness/topology/layout.ts';
import { h, markup, type Shape } from '../../harness/topology/shape.ts';
import { topologySvg } from '../../harness/topology/svg.ts';
import { topologyText } from '../../harness/topology/text.ts';
import { edge, place, sample } from './sample.ts';

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

function all(shape: Shape): Shape[] {
  return [shape, ...shape.children.flatMap((child) => (typeof child === 'string' ? [] : all(child)))];
}

describe('the layout', () => {
  const columns = [['edge'], ['a', 'b', 'c'], ['d'], ['e', 'f']];
  const services = columns.flat().slice(1);
  const crowded = sample({
    columns,
    places: [
      ...sample().places.slice(0, 1),
      ...services.flatMap((name) => [place(name, 'base'), place(name, 'dev'), place(name, 'gold')]),
    ],
    edges: services.flatMap((name) => [edge('edge', name, 'dev', 'dev'), edge('a/base', name, 'gold', 'base')]),
  });

  it('lets no boxes overlap, keeps each in its track and all of it in the picture', () => {
    const { boxes, tracks, width, height } = layout(crowded);
    expect(boxes).toHaveLength(crowded.places.length);
    for (const [n, a] of boxes.entries()) {
      for (const b of boxes.slice(n + 1)) {
        const apart = Math.abs(a.x - b.x) >= BOX.width || Math.abs(a.y - b.y) >= BOX.height;
        expect([a.place.id, b.place.id, apart]).toEqual([a.place.id, b.place.id, true]);
      }
      const track = tracks.find(({ lane }) => lane === a.place.lane);
      expect(a.y).toBeGreaterThanOrEqual(track?.y ?? Number.NaN);
      expect(a.y + BOX.height).toBeLessThanOrEqual((track?.y ?? 0) + (track?.height ?? 0));
      expect(a.x + BOX.width).toBeLessThanOrEqual(width);
      expect(a.y + BOX.height).toBeLessThanOrEqual(height);
    }
  });

  it('puts callees to the right of their callers and draws every edge', () => {
    const { wires, boxes } = layout(crowded);
    expect(wires).toHaveLength(crowded.edges.length);
    const x = (id: string) => boxes.find((box) => box.place.id === id)?.x ?? Number.NaN;
    for (const { edge: drawn, path } of wires) {
      expect(path).toMatch(/^M[\d.]+ [\d.]+( C(-?[\d.]+ ?){6})+$/);
      if (drawn.from === 'edge') expect(x(drawn.to)).toBeGreaterThan(x('edge'));
    }
  });

  it('leads a call to the left around everything between', () => {
    const back = sample({ edges: [edge('stock/base', 'cart', 'base', 'base')] });
    const { wires, boxes } = layout(back);
    const rows = Array.from((wires[0]?.path ?? '').matchAll(/C[\d.]+ ([\d.]+) [\d.]+ \1 /g), ([, y]) => Number(y));
    expect(rows.length).toBe(1);
    for (const { y } of boxes.filter(({ place: { service } }) => service !== 'edge')) {
      for (const row of rows) expect(row < y || row > y + BOX.height).toBe(true);
    }
  });

  it('makes something of an empty mesh', () => {
    const empty = sample({ columns: [], places: [], edges: [], proxies: [] });
    expect(layout(empty).boxes).toEqual([]);
    expect(topologySvg(empty)).toContain('<svg');
  });
});

describe('the drawing', () => {
  const wire = (id: string, shape = drawing(sample())) =>
    all(shape).find(({ key, attributes }) => key === id && attributes.class?.startsWith('wire'))?.attributes.class;

  it('draws fallback dashed and what nobody served in its own way, in the colour of the wanted lane', () => {
    expect(wire('edge>cart:base>base')).toBe('wire lane-0');
    expect(wire('cart/dev>stock:dev>base')).toBe('wire lane-1 fallback');
    expect(wire('cart/base>stock:gold>none')).toBe('wire lane-2 nobody failing');
  });

  it('fades what is not about the chosen lane, box or call', () => {
    const faint = (options: object) =>
      all(drawing(sample(), options)).filter(({ attributes }) => / faint/.test(attributes.class ?? '')).length;
    expect(faint({})).toBe(0);
    expect(faint({ lane: 'dev' })).toBe(2);
    expect(faint({ selected: 'cart/dev' })).toBeGreaterThan(2);
  });

  it('gives everything that can be chosen a name and a place in the order of the keyboard', () => {
    const chosen = all(drawing(sample(), { interactive: true })).filter(({ attributes }) => attributes['data-select']);
    expect(chosen).toHaveLength(sample().edges.length + sample().places.length);
    for (const { attributes } of chosen) {
      expect(attributes).toMatchObject({ tabindex: '0', role: 'button' });
      expect(attributes['aria-label']).toMatch(/.{20}/);
    }
  });

  it('says which Envoys do not answer', () => {
    const proxies = sample().proxies.map((proxy) => ({ ...proxy, state: 'silent' as const }));
    expect(topologySvg(sample({ proxies }))).toContain('does not answer');
    expect(topologyText(sample({ proxies }))).toContain('no answer from edge, cart-base-1, cart-dev-1, stock-base-1');
  });
});

describe('hostile names', () => {
  const hostile = sample({
    lanes: [...sample().lanes, { name: HOSTILE, mode: 'permissive', chain: [HOSTILE] }],
    places: [...sample().places, place('cart', HOSTILE)],
    edges: [...sample().edges, edge('edge', 'cart', HOSTILE, HOSTILE)],
  });

  it('are text in the file', () => {
    const svg = topologySvg(hostile);
    expect(svg).not.toMatch(/<script|<img/);
    expect(svg).toContain('&lt;script&gt;');
    expect(svg.match(/<svg/g)).toHaveLength(1);
  });

  it('cannot leave an attribute or a text', () => {
    expect(markup(h('a', { title: `"'<&>\u0000` }, '</a>\u0007&amp;'))).toBe(
      '<a title="&quot;&#39;&lt;&amp;&gt;\ufffd">&lt;/a&gt;\ufffd&amp;amp;</a>',
    );
  });
});

it('tells the same in a terminal', () => {
  const text = topologyText(sample());
  expect(text).toMatch(/cart\/dev → stock +dev +base \(fallback\) +12\.5\/s +0 % +4 ms +21 ms +99/);
  expect(text).toMatch(/cart\/base → stock +gold +nobody +12\.5\/s +100 %/);
  expect(text).toMatch(/overload-shedding +shed level +40 % ! +stock-base-1/);
});
