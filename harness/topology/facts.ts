import { COVERAGE } from '../../envoy-configs/observability/filters.ts';
import { type Metric, parseMetric } from './metric-name.ts';
import type { Fact, FilterState } from './model.ts';

/** How one metric of a filter is shown. Counters (`…_total`) are shown as rates, gauges as they are. */
interface Rule {
  readonly label: string;
  readonly unit: string;
  /** From which value on somebody should look. Absent = never. */
  readonly alarmFrom?: number;
}

const CAPACITY = 'capacity';

/** Filters that are not here, or events, are shown under the metric's own name. */
const RULES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  'lane-tagging': {
    tagged_total: { label: 'tagged', unit: '/s' },
    refused_total: { label: 'tags refused', unit: '/s', alarmFrom: 0.1 },
    untrusted_removed_total: { label: 'tags of strangers removed', unit: '/s' },
  },
  'trace-propagation': {
    hit_total: { label: 'tags found for calls', unit: '/s' },
    leaked_total: { label: 'calls that lost their trace', unit: '/s', alarmFrom: 0.1 },
    evicted_live_total: { label: 'entries given up early', unit: '/s', alarmFrom: 0.1 },
    pinned: { label: 'requests in flight', unit: '' },
  },
  'lane-fallback': {
    later_try_total: { label: 'served by a later try', unit: '/s' },
    steered_total: { label: 'steered', unit: '/s' },
    redirected_total: { label: 'redirected', unit: '/s' },
    redirect_loop_total: { label: 'redirect loops', unit: '/s', alarmFrom: 0.01 },
    invalid_tag_total: { label: 'invalid tags', unit: '/s', alarmFrom: 0.1 },
  },
  'overload-shedding': {
    level_percent: { label: 'shed level', unit: '%', alarmFrom: 1 },
    queue_microseconds: { label: 'queue', unit: 'µs' },
    capacity_per_second: { label: CAPACITY, unit: '/s' },
    in_flight: { label: 'in flight', unit: '' },
    refused_total: { label: 'refused', unit: '/s', alarmFrom: 0.1 },
    dropped_early_total: { label: 'dropped at the caller', unit: '/s', alarmFrom: 0.1 },
  },
  degradation: {
    open_breakers: { label: 'breakers not closed', unit: '', alarmFrom: 1 },
    refused_total: { label: 'refused by breakers', unit: '/s', alarmFrom: 0.1 },
    dropped_total: { label: 'dropped by rule', unit: '/s' },
    cut_total: { label: 'answered in its place', unit: '/s' },
  },
  'outlier-blacklist': {
    hosts_out: { label: 'hosts out', unit: '', alarmFrom: 1 },
    hosts_spared: { label: 'outliers that stay', unit: '', alarmFrom: 1 },
  },
  'connection-elimination': {
    tls_percent: { label: 'calls by TLS', unit: '%' },
    mismatch_total: { label: 'not in the expected state', unit: '/s', alarmFrom: 0.1 },
    handshake_failed_total: { label: 'handshakes failed', unit: '/s', alarmFrom: 0.01 },
    returned_total: { label: 'returned to plain', unit: '/s', alarmFrom: 0.01 },
  },
  agent: {
    age_milliseconds: { label: 'age of its news', unit: 'ms', alarmFrom: 10_000 },
    hosts: { label: 'hosts listed', unit: '' },
    clusters_too_large: { label: 'clusters too large', unit: '', alarmFrom: 1 },
  },
  module: {
    worker_silent: { label: 'worker silent for', unit: 's', alarmFrom: 15 },
    vm_configured_total: { label: 'VMs made', unit: '/s' },
  },
};

/** Shown by other facts, or nowhere. */
const HIDDEN: Readonly<Record<string, readonly string[]>> = {
  'lane-fallback': ['requests_total'],
  degradation: ['opened_total', 'closed_total', 'probes_total'],
  'connection-elimination': ['requests_total'],
  agent: ['polls_total', 'period_milliseconds', 'cost_microseconds'],
  module: ['heartbeat_seconds'],
};

/** A worker ticks each second; a lag below this is none. */
const SILENT_SECONDS = 5;
/** Time constant of rates, seconds. */
const SMOOTHING = 5;
/** Facts of one filter beyond this are left out, alarms last. */
const MOST_FACTS = 60;

interface Known {
  readonly metric: Metric;
  value: number;
  rate: number;
}

/** What the filters of all proxies say of themselves. */
export class FactBook {
  private readonly proxies = new Map<string, Map<string, Known>>();

  /** Takes one proxy's metrics: values now and what counters have risen by since `seconds` ago (0 = first look). */
  take(proxy: string, values: ReadonlyMap<string, number>, risen: ReadonlyMap<string, number>, seconds: number): void {
    const before = this.proxies.get(proxy);
    const now = new Map<string, Known>();
    for (const [name, value] of values) {
      const known = before?.get(name);
      const metric = known?.metric ?? parseMetric(name);
      if (metric === undefined) continue;
      const latest = seconds > 0 ? (risen.get(name) ?? 0) / seconds : 0;
      const weight = 1 - Math.exp(-seconds / SMOOTHING);
      now.set(name, { metric, value, rate: (known?.rate ?? 0) * (1 - weight) + latest * weight });
    }
    this.proxies.set(proxy, now);
  }

  forget(proxy: string): void {
    this.proxies.delete(proxy);
  }

  /** Filters in the order of the module, those that nobody runs left out. `now` in milliseconds since 1970. */
  states(now: number): FilterState[] {
    const facts = new Map<string, Fact[]>();
    for (const [proxy, metrics] of this.proxies) {
      for (const [filter, found] of factsOf(proxy, [...metrics.values()], now)) {
        const list = facts.get(filter) ?? [];
        for (const fact of found) join(list, fact);
        facts.set(filter, list);
      }
    }
    return [...Object.keys(COVERAGE), 'module'].flatMap((filter) => {
      const found = facts.get(filter);
      if (found === undefined) return [];
      const sorted = found.sort((a, b) => Number(b.alarm) - Number(a.alarm) || a.label.localeCompare(b.label));
      const state = sorted[0]?.alarm ? 'alarm' : sorted.length > 0 ? 'working' : 'idle';
      return [{ filter, state, facts: sorted.slice(0, MOST_FACTS) } as const];
    });
  }
}

/** Rates of several proxies are added up; of other values the highest is shown, since that is where to look. */
function join(list: Fact[], fact: Fact): void {
  const at = list.findIndex(({ label, about }) => label === fact.label && about === fact.about);
  const known = list[at];
  if (known === undefined) list.push(fact);
  else if (fact.unit === '/s' && fact.label !== CAPACITY) {
    const value = Math.round((known.value + fact.value) * 100) / 100;
    list[at] = { ...known, value, alarm: known.alarm || fact.alarm, proxies: [...known.proxies, ...fact.proxies] };
  } else if (fact.value > known.value) list[at] = fact;
}

function factsOf(proxy: string, metrics: readonly Known[], now: number): Map<string, Fact[]> {
  const facts = new Map<string, Fact[]>();
  const add = (filter: string, event: string, labels: Metric['labels'], value: number) => {
    const list = facts.get(filter) ?? [];
    facts.set(filter, list);
    const rounded = Math.round(value * 100) / 100;
    if (rounded === 0) return;
    const rule = RULES[filter]?.[event] ?? own(event);
    const about = Object.entries(labels).map(([key, text]) => `${key} ${text}`);
    list.push({
      label: rule.label,
      proxies: [proxy],
      about: about.join(', '),
      value: rounded,
      unit: rule.unit,
      alarm: rounded >= (rule.alarmFrom ?? Number.POSITIVE_INFINITY),
    });
  };
  for (const { metric, value, rate } of metrics) {
    const { filter, event, labels } = metric;
    if (HIDDEN[filter]?.includes(event)) facts.set(filter, facts.get(filter) ?? []);
    else add(filter, event, labels, event.endsWith('_total') ? rate : value);
  }
  for (const { filter, event, labels, value } of derived(metrics, now)) add(filter, event, labels, value);
  return facts;
}

function own(event: string): Rule {
  const words = event.replace(/_total$/, '').replaceAll('_', ' ');
  return { label: words, unit: event.endsWith('_total') ? '/s' : '' };
}

/** What no single metric says. */
function derived(metrics: readonly Known[], now: number): (Metric & { value: number })[] {
  const result: (Metric & { value: number })[] = [];
  const of = (filter: string, event: string) =>
    metrics.filter(({ metric }) => metric.filter === filter && metric.event === event);
  for (const opened of of('degradation', 'opened_total')) {
    const { labels } = opened.metric;
    const closed = of('degradation', 'closed_total').find(({ metric }) => same(metric.labels, labels));
    const value = Math.max(0, opened.value - (closed?.value ?? 0));
    result.push({ filter: 'degradation', event: 'open_breakers', labels, value });
  }
  const calls = of('connection-elimination', 'requests_total');
  for (const service of new Set(calls.map(({ metric }) => metric.labels.service ?? ''))) {
    const rate = (state?: string) =>
      calls
        .filter(
          ({ metric: { labels } }) => labels.service === service && (state === undefined || labels.result === state),
        )
        .reduce((sum, known) => sum + known.rate, 0);
    const all = rate();
    const value = all < 0.01 ? 0 : (100 * rate('tls')) / all;
    result.push({ filter: 'connection-elimination', event: 'tls_percent', labels: { service }, value });
  }
  for (const { metric, value: beat } of of('module', 'heartbeat_seconds')) {
    const lag = now / 1000 - beat;
    if (beat > 0 && lag >= SILENT_SECONDS)
      result.push({ filter: 'module', event: 'worker_silent', labels: metric.labels, value: lag });
  }
  return result;
}

function same(a: Metric['labels'], b: Metric['labels']): boolean {
  return Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);
}
