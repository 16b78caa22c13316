import { drawing } from '../drawing.ts';
import { milliseconds, rate, share } from '../format.ts';
import { laneColour } from '../layout.ts';
import type { History, Topology } from '../model.ts';
import { h, type Shape } from '../shape.ts';
import { pointAt } from './chart.ts';
import { callTable, detailPanel, filterCards } from './panels.ts';
import { patch } from './patch.ts';
import { historyUrl, type State, selection } from './state.ts';

const state: State = {
  topology: undefined,
  connection: 'connecting',
  selected: undefined,
  lane: undefined,
  history: undefined,
  reading: undefined,
};

const root = document.getElementById('page') as HTMLElement;

function render(): void {
  patch(root, [
    header(),
    ...notices(),
    h(
      'main',
      { key: 'main' },
      h('div', { class: 'columns' }, h('div', { class: 'left' }, graphCard(), filterCards(state)), detailPanel(state)),
      callTable(state),
    ),
  ]);
}

const SAID: Readonly<Record<State['connection'], string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'disconnected',
  ended: 'no mesh runs',
};

function header(): Shape {
  const { topology, connection } = state;
  const proxies = topology?.proxies ?? [];
  const answering = proxies.filter(({ state: alive }) => alive === 'live').length;
  const gateways = topology?.places.filter(({ kind }) => kind === 'gateway') ?? [];
  const all = gateways.reduce((sum, gateway) => sum + gateway.rate, 0);
  const [gateway] = gateways;
  return h(
    'header',
    { key: 'header' },
    h(
      'div',
      { class: 'title' },
      h('h1', {}, topology?.mesh ?? 'Causeway'),
      h('span', { class: `status ${connection}`, role: 'status' }, SAID[connection]),
    ),
    h(
      'dl',
      { class: 'summary' },
      tile('requests', rate(all)),
      tile('errors', share(gateway?.errorShare ?? null), (gateway?.errorShare ?? 0) >= 0.005),
      tile('p50', milliseconds(gateway?.p50 ?? null)),
      tile('p99', milliseconds(gateway?.p99 ?? null)),
      tile('Envoys', topology ? `${answering} of ${proxies.length}` : '–', answering < proxies.length),
      tile('window', topology ? `${Math.round(topology.windowSeconds)} s` : '–'),
    ),
  );
}

function tile(name: string, value: string, bad = false): Shape {
  return h('div', { key: name, class: bad ? 'tile bad' : 'tile' }, h('dt', {}, name), h('dd', {}, value));
}

function notices(): Shape[] {
  const { connection, topology } = state;
  const found: Shape[] = [];
  if (connection === 'lost')
    found.push(notice('lost', 'The connection to causeway is lost. What is shown is old; trying again.'));
  if (connection === 'ended')
    found.push(notice('ended', 'No mesh runs any more. causeway up starts it; this page follows.'));
  const silent = topology?.proxies.filter(({ state: alive }) => alive === 'silent').map(({ id }) => id) ?? [];
  if (silent.length > 0 && connection === 'live') {
    const named = silent.slice(0, 4).join(', ');
    const more = silent.length > 4 ? ` and ${silent.length - 4} more` : '';
    found.push(notice('silent', `${named}${more} ${silent.length === 1 ? 'does' : 'do'} not answer.`));
  }
  return found;
}

function notice(kind: string, text: string): Shape {
  return h('p', { key: `notice ${kind}`, class: `notice ${kind}`, role: 'alert' }, text);
}

function graphCard(): Shape {
  const { topology } = state;
  if (topology === undefined) {
    return h(
      'section',
      { key: 'waiting', class: 'card graph-card waiting', 'aria-busy': 'true' },
      h('p', { class: 'soft' }, 'Asking the Envoys…'),
    );
  }
  const chosen = selection(state)?.id;
  const quiet = topology.edges.every((edge) => edge.rate === 0);
  return h(
    'section',
    { key: 'graph', class: 'card graph-card', 'aria-label': 'Topology' },
    h(
      'div',
      { class: 'lanes', role: 'group', 'aria-label': 'Show the calls of one lane' },
      laneButton(undefined, topology),
      topology.lanes.map(({ name }) => laneButton(name, topology)),
    ),
    h(
      'div',
      { class: 'scroll' },
      drawing(topology, {
        interactive: true,
        ...(chosen === undefined ? {} : { selected: chosen }),
        ...(state.lane === undefined ? {} : { lane: state.lane }),
      }),
    ),
    quiet && h('p', { class: 'soft empty' }, 'No calls in the last seconds. causeway drive sends some.'),
  );
}

function laneButton(name: string | undefined, topology: Topology): Shape {
  const on = state.lane === name;
  return h(
    'button',
    {
      key: name === undefined ? 'all' : `lane ${name}`,
      type: 'button',
      class: 'chip',
      'aria-pressed': String(on),
      'data-lane': name ?? '',
    },
    name !== undefined && h('span', { class: `swatch lane-${laneColour(topology, name)}`, 'aria-hidden': 'true' }),
    name ?? 'all lanes',
  );
}

function select(what: string): void {
  state.selected = what === '' || what === state.selected ? undefined : what;
  state.history = undefined;
  state.reading = undefined;
  render();
  void loadHistory();
}

/** The answer to an older question is dropped. */
async function loadHistory(): Promise<void> {
  const url = historyUrl(state);
  if (url === undefined) return;
  const { selected } = state;
  try {
    const answer = await fetch(url);
    if (!answer.ok || state.selected !== selected) return;
    state.history = (await answer.json()) as History;
    render();
  } catch {
    // The event stream says that the server is gone.
  }
}

document.addEventListener('click', (event) => {
  const target = event.target as Element;
  const chosen = target.closest('[data-select]')?.getAttribute('data-select');
  const lane = target.closest('[data-lane]')?.getAttribute('data-lane');
  if (typeof chosen === 'string') select(chosen);
  else if (typeof lane === 'string') {
    state.lane = lane === '' ? undefined : lane;
    render();
  }
});

document.addEventListener('keydown', (event) => {
  const target = event.target as Element;
  if (event.key === 'Escape' && state.selected !== undefined) return select('');
  const chosen = target.getAttribute('data-select');
  if (chosen !== null && target.tagName !== 'BUTTON' && (event.key === 'Enter' || event.key === ' ')) {
    event.preventDefault();
    return select(chosen);
  }
  if (target.hasAttribute('data-chart') && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) {
    event.preventDefault();
    const step = event.key === 'ArrowLeft' ? 1 : -1;
    read(Math.max(0, (state.reading ?? 0) + step));
  }
});

document.addEventListener('pointermove', (event) => {
  const chart = (event.target as Element).closest('[data-chart]');
  if (chart === null) {
    if (
      state.reading !== undefined &&
      event.pointerType === 'mouse' &&
      !document.activeElement?.hasAttribute('data-chart')
    )
      read(undefined);
    return;
  }
  const { left, width } = chart.getBoundingClientRect();
  read(pointAt((event.clientX - left) / width, Number(chart.getAttribute('data-steps'))));
});

function read(point: number | undefined): void {
  if (state.reading === point) return;
  state.reading = point;
  render();
}

/** A point of history is five seconds long. */
const HISTORY_EVERY_MS = 5_000;

function connect(): void {
  const events = new EventSource('events');
  events.addEventListener('topology', (event) => {
    state.topology = JSON.parse((event as MessageEvent<string>).data) as Topology;
    state.connection = 'live';
    render();
  });
  events.addEventListener('ended', () => {
    state.connection = 'ended';
    render();
  });
  events.addEventListener('error', () => {
    state.connection = 'lost';
    render();
    // The browser itself gives up where the server refuses instead of being away.
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2_000);
  });
}

render();
connect();
setInterval(() => void loadHistory(), HISTORY_EVERY_MS);
