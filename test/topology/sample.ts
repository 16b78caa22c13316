import type { Edge, Figures, History, Place, Topology } from '../../harness/topology/model.ts';

/** A small topology to draw. */

export const QUIET: Figures = { rate: 0, errorShare: null, p50: null, p99: null };
const BUSY: Figures = { rate: 12.5, errorShare: 0, p50: 4, p99: 21 };

export function sample(change: Partial<Topology> = {}): Topology {
  return {
    mesh: 'shop',
    baseline: 'base',
    at: 1_700_000_000_000,
    windowSeconds: 15,
    lanes: [
      { name: 'base', mode: 'baseline', chain: [] },
      { name: 'dev', mode: 'permissive', chain: ['base'] },
      { name: 'gold', mode: 'strict', chain: [] },
    ],
    columns: [['edge'], ['cart'], ['stock']],
    places: [
      { ...place('edge', 'base'), id: 'edge', kind: 'gateway' },
      place('cart', 'base'),
      place('cart', 'dev'),
      place('stock', 'base'),
      { ...place('stock', 'gold'), kind: 'absent', instances: [] },
    ],
    edges: [
      edge('edge', 'cart', 'base', 'base'),
      edge('edge', 'cart', 'dev', 'dev'),
      edge('cart/dev', 'stock', 'dev', 'base'),
      { ...edge('cart/base', 'stock', 'gold', 'none'), errorShare: 1 },
    ],
    proxies: [
      { id: 'edge', place: 'edge', state: 'live', since: 0 },
      { id: 'cart-base-1', place: 'cart/base', state: 'live', since: 0 },
      { id: 'cart-dev-1', place: 'cart/dev', state: 'live', since: 0 },
      { id: 'stock-base-1', place: 'stock/base', state: 'live', since: 0 },
    ],
    filters: [
      {
        filter: 'overload-shedding',
        state: 'alarm',
        facts: [{ label: 'shed level', proxies: ['stock-base-1'], about: '', value: 40, unit: '%', alarm: true }],
      },
    ],
    ...change,
  };
}

export function place(service: string, lane: string): Place {
  const id = `${service}/${lane}`;
  const instances = [`${service}-${lane}-1`];
  return { id, service, lane, kind: 'service', entrance: service === 'cart', versions: ['v1'], instances, ...BUSY };
}

export function edge(from: string, service: string, wanted: string, served: string): Edge {
  const to = `${service}/${served === 'none' ? wanted : served}`;
  const fallback = served !== 'none' && wanted !== served;
  return {
    id: `${from}>${service}:${wanted}>${served}`,
    from,
    to,
    service,
    wanted,
    served,
    fallback,
    calls: 99,
    ...BUSY,
  };
}

export const HISTORY: History = {
  stepSeconds: 5,
  at: 1_700_000_000_000,
  series: {
    base: { calls: [50, 60, 55], errors: [0, 0, 1], p50: [4, 4, 5], p99: [20, 25, 21] },
    dev: { calls: [0, 0, 10], errors: [0, 0, 0], p50: [null, null, 9], p99: [null, null, 33] },
  },
};
