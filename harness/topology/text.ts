import { table } from '../cli/table.ts';
import { inOrder, milliseconds, number, rate, share, someOf } from './format.ts';
import type { Topology } from './model.ts';

/** The same for a terminal. */
export function topologyText(topology: Topology): string {
  const { mesh, lanes, windowSeconds } = topology;
  const heads = `mesh ${mesh}, the last ${Math.round(windowSeconds)} s; lanes: ${lanes.map(({ name }) => name).join(', ')}`;
  const silent = topology.proxies.filter(({ state }) => state === 'silent').map(({ id }) => id);
  return [
    heads,
    ...(silent.length > 0 ? [`no answer from ${silent.join(', ')}`] : []),
    '',
    topology.edges.length === 0 ? 'no call has been made yet' : table(callRows(topology)),
    ...filterLines(topology),
  ].join('\n');
}

function callRows(topology: Topology) {
  return inOrder(topology).map((edge) => ({
    call: `${edge.from} → ${edge.service}`,
    wanted: edge.wanted,
    served: edge.fallback ? `${edge.served} (fallback)` : edge.served === 'none' ? 'nobody' : edge.served,
    rate: rate(edge.rate),
    errors: share(edge.errorShare),
    p50: milliseconds(edge.p50),
    p99: milliseconds(edge.p99),
    calls: edge.calls,
  }));
}

function filterLines({ filters }: Topology): string[] {
  const told = filters.filter(({ facts }) => facts.length > 0);
  if (told.length === 0) return [];
  const rows = told.flatMap(({ filter, facts }) =>
    facts.map((fact) => ({
      filter,
      what: fact.label,
      value: `${number(fact.value)}${fact.unit === '/s' || fact.unit === '' ? fact.unit : ` ${fact.unit}`}${fact.alarm ? ' !' : ''}`,
      proxies: someOf(fact.proxies),
      about: fact.about,
    })),
  );
  return ['', table(rows)];
}
