import { edgeName, hop, inOrder, milliseconds, number, rate, share, someOf } from '../format.ts';
import { laneColour } from '../layout.ts';
import type { Edge, FilterState, Place, Series, Topology } from '../model.ts';
import { h, type Shape } from '../shape.ts';
import { chart, type Line } from './chart.ts';
import { type State, selection } from './state.ts';

/** What stands beside and below the graph. */

const FIFTEEN_MINUTES = 900;

export function detailPanel(state: State): Shape {
  const { topology } = state;
  const chosen = selection(state);
  if (topology === undefined || chosen === undefined) return overview(state);
  return 'edge' in chosen && chosen.edge
    ? edgePanel(chosen.edge, topology, state)
    : servicePanel(chosen.place as Place, topology, state);
}

function overview({ topology }: State): Shape {
  const lanes = topology?.lanes ?? [];
  return h(
    'section',
    { class: 'card detail', key: 'overview', 'aria-label': 'Lanes' },
    h('h2', {}, 'Lanes'),
    h(
      'p',
      { class: 'soft' },
      'Choose a box to compare a service’s lanes with its baseline, or a line to see one kind of call.',
    ),
    topology && laneTable(topology),
    h('h3', {}, 'How to read it'),
    h(
      'ul',
      { class: 'legend' },
      legend('line', 'a call, in the colour of the lane it wants; the busier, the thicker'),
      legend('line dashed', 'fallback: another lane served it'),
      legend('line dotted', 'nobody served it'),
      legend('mark', 'traffic of a lane may enter here'),
    ),
    lanes.length <= 1
      ? h('p', { class: 'soft' }, 'There is no lane beside the baseline yet: causeway lane create <name>.')
      : undefined,
  );
}

function legend(kind: string, text: string): Shape {
  return h('li', {}, h('span', { class: `sample ${kind}` }), text);
}

function laneTable(topology: Topology): Shape {
  const rows = topology.lanes.map(({ name, mode, chain }) => {
    const edges = topology.edges.filter(({ wanted }) => wanted === name);
    const entering = edges.filter(({ from }) => !from.includes('/')).reduce((sum, edge) => sum + edge.rate, 0);
    const calls = edges.reduce((sum, edge) => sum + edge.rate, 0);
    const away = edges.filter(({ fallback }) => fallback).reduce((sum, edge) => sum + edge.rate, 0);
    const chained = chain.length === 0 ? mode : `${mode} → ${chain.join(' → ')}`;
    return h(
      'tr',
      { key: name },
      h('th', { scope: 'row' }, swatch(laneColour(topology, name)), name, h('span', { class: 'soft small' }, chained)),
      h('td', {}, rate(entering)),
      h('td', {}, calls > 0 ? share(away / calls) : '–'),
    );
  });
  return table(['lane', 'entering', 'fallback'], rows);
}

function servicePanel(place: Place, topology: Topology, state: State): Shape {
  const lanes = topology.places.filter(({ service }) => service === place.service);
  const rows = lanes.map((lane) =>
    h(
      'tr',
      { key: lane.id, ...(lane.id === place.id ? { class: 'chosen' } : {}) },
      h('th', { scope: 'row' }, swatch(laneColour(topology, lane.lane)), lane.lane),
      ...figureCells(lane),
    ),
  );
  const proxies = topology.proxies.filter((proxy) => proxy.place === place.id);
  const gateway = place.kind === 'gateway';
  return h(
    'section',
    { class: 'card detail', key: `service ${place.service}`, 'aria-label': `${place.service}: details` },
    heading(place.service, gateway ? 'gateway' : `lane ${place.lane}`),
    h('h3', {}, gateway ? 'What has come in' : 'Lanes beside the baseline'),
    table(['lane', 'calls', 'errors', 'p50', 'p99'], rows),
    charts(state, topology),
    proxies.length > 0 && h('h3', {}, 'Envoys'),
    h(
      'ul',
      { class: 'proxies' },
      proxies.map(({ id, state: alive }) =>
        h(
          'li',
          { key: id },
          h('span', { class: `light ${alive}` }),
          id,
          h('span', { class: 'soft small' }, alive === 'live' ? 'answers' : 'does not answer'),
        ),
      ),
    ),
  );
}

function edgePanel(edge: Edge, topology: Topology, state: State): Shape {
  const [service, lane] = edge.from.split('/');
  const rows: [string, string][] = [
    ['caller', lane === undefined ? (service ?? '') : `${service}, lane ${lane}`],
    ['callee', edge.service],
    ['wanted lane', edge.wanted],
    ['served by', edge.served === 'none' ? 'nobody' : edge.served],
    ['rate', rate(edge.rate)],
    ['errors', share(edge.errorShare)],
    ['p50, p99', `${milliseconds(edge.p50)}, ${milliseconds(edge.p99)}`],
    ['calls so far', edge.calls.toLocaleString('en')],
  ];
  return h(
    'section',
    { class: 'card detail', key: `edge ${edge.id}`, 'aria-label': 'Calls: details' },
    heading(`${service} → ${edge.service}`, hop(edge)),
    edge.fallback &&
      h(
        'p',
        { class: 'note' },
        `Lane ${edge.wanted} has no usable instance of ${edge.service}, or a rule steers there.`,
      ),
    edge.served === 'none' &&
      h('p', { class: 'note bad' }, 'No instance of the wanted lane or behind it could answer.'),
    h(
      'dl',
      { class: 'facts' },
      rows.flatMap(([name, value]) => [h('dt', { key: `t ${name}` }, name), h('dd', { key: `d ${name}` }, value)]),
    ),
    charts(state, topology, edge.wanted),
  );
}

function heading(title: string, about: string): Shape {
  return h(
    'div',
    { class: 'heading' },
    h('h2', {}, title, h('span', { class: 'soft about' }, about)),
    h('button', { type: 'button', class: 'quiet', 'data-select': '', 'aria-label': 'Back to the overview' }, 'Close'),
  );
}

/** Lanes against the baseline: how many, how fast, how many fail. */
function charts({ history, reading }: State, topology: Topology, wanted?: string): Shape {
  if (history === undefined) return h('p', { class: 'soft', key: 'charts' }, 'Loading fifteen minutes…');
  const { stepSeconds } = history;
  const steps = FIFTEEN_MINUTES / stepSeconds;
  const lanes = Object.entries(history.series).sort(([a], [b]) => laneOrder(topology, a) - laneOrder(topology, b));
  const lines = (points: (series: Series) => (number | null)[]): Line[] =>
    lanes.map(([name, series]) => ({
      name: name === '' ? 'all' : name === 'none' ? 'nobody' : name,
      colour: laneColour(topology, wanted ?? name),
      points: points(series),
    }));
  const shared = { stepSeconds, steps, reading };
  return h(
    'div',
    { class: 'charts', key: 'charts' },
    chart(
      lines(({ calls }) => calls.map((count) => count / stepSeconds)),
      { ...shared, title: 'Calls', unit: '/s' },
    ),
    chart(
      lines(({ p99 }) => [...p99]),
      { ...shared, title: 'Slowest hundredth (p99)', unit: 'ms' },
    ),
    chart(
      lines(({ p50 }) => [...p50]),
      { ...shared, title: 'Median (p50)', unit: 'ms' },
    ),
    chart(
      lines(({ errors, calls }) => errors.map((count, n) => failedShare(count, calls[n] ?? 0))),
      {
        ...shared,
        title: 'Errors',
        unit: '%',
      },
    ),
  );
}

function failedShare(errors: number, calls: number): number | null {
  return calls === 0 ? null : Math.min(100, (100 * errors) / calls);
}

const laneOrder = (topology: Topology, lane: string) => topology.lanes.findIndex(({ name }) => name === lane);

export function filterCards({ topology }: State): Shape {
  const filters = topology?.filters ?? [];
  const quiet = filters.filter(({ facts }) => facts.length === 0).map(({ filter }) => filter);
  return h(
    'section',
    { class: 'filters', 'aria-label': 'Filters' },
    h('h2', {}, 'Filters'),
    filters.length === 0 && h('p', { class: 'soft' }, 'No Envoy has told anything yet.'),
    h('div', { class: 'cards' }, filters.filter(({ facts }) => facts.length > 0).map(filterCard)),
    quiet.length > 0 && h('p', { class: 'soft small quiet-ones' }, `Nothing to report: ${quiet.join(', ')}.`),
  );
}

const SHOWN_FACTS = 6;

function filterCard({ filter, state, facts }: FilterState): Shape {
  const rows = facts
    .slice(0, SHOWN_FACTS)
    .map(({ label, proxies, about, value, unit, alarm }) =>
      h(
        'li',
        { key: `${label} ${about}`, ...(alarm ? { class: 'bad' } : {}) },
        h('span', { class: 'value' }, `${number(value)}${unit === '/s' || unit === '' ? unit : ` ${unit}`}`),
        h(
          'span',
          {},
          label,
          h('span', { class: 'soft small' }, [someOf(proxies), about].filter((part) => part !== '').join(', ')),
        ),
      ),
    );
  const more = facts.length - SHOWN_FACTS;
  return h(
    'article',
    { key: filter, class: `card filter ${state}` },
    h('h3', {}, h('span', { class: `light ${state === 'alarm' ? 'silent' : 'live'}` }), filter),
    h('ul', {}, rows),
    more > 0 && h('p', { class: 'soft small' }, `and ${more} more`),
  );
}

export function callTable({ topology, lane, selected }: State): Shape {
  const edges =
    topology === undefined ? [] : inOrder(topology).filter((edge) => lane === undefined || edge.wanted === lane);
  const rows = edges.map((edge) =>
    h(
      'tr',
      { key: edge.id, ...(selected === `edge:${edge.id}` ? { class: 'chosen' } : {}) },
      h(
        'th',
        { scope: 'row' },
        h(
          'button',
          { type: 'button', class: 'link', 'data-select': `edge:${edge.id}`, 'aria-label': edgeName(edge) },
          edge.from.replace('/', ' · '),
          ' → ',
          edge.service,
        ),
      ),
      h('td', {}, topology && swatch(laneColour(topology, edge.wanted)), edge.wanted),
      h(
        'td',
        { class: edge.served === 'none' ? 'bad' : edge.fallback ? 'away' : '' },
        edge.served === 'none' ? 'nobody' : edge.served,
      ),
      ...figureCells(edge),
      h('td', {}, edge.calls.toLocaleString('en')),
    ),
  );
  return h(
    'section',
    { class: 'card calls', 'aria-label': 'Calls' },
    h('h2', {}, 'Calls'),
    rows.length === 0
      ? h('p', { class: 'soft' }, 'No call has been made yet. causeway drive sends some.')
      : h(
          'div',
          { class: 'scroll' },
          table(['call', 'wanted', 'served', 'rate', 'errors', 'p50', 'p99', 'so far'], rows),
        ),
  );
}

function figureCells({ rate: calls, errorShare, p50, p99 }: Place | Edge): Shape[] {
  return [
    h('td', {}, rate(calls)),
    h('td', { class: (errorShare ?? 0) >= 0.005 ? 'bad' : '' }, share(errorShare)),
    h('td', {}, milliseconds(p50)),
    h('td', {}, milliseconds(p99)),
  ];
}

function table(heads: readonly string[], rows: readonly Shape[]): Shape {
  return h(
    'table',
    {},
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        heads.map((head) => h('th', { scope: 'col' }, head)),
      ),
    ),
    h('tbody', {}, rows),
  );
}

function swatch(colour: number): Shape {
  return h('span', { class: `swatch lane-${colour}`, 'aria-hidden': 'true' });
}
