import { stringify } from 'yaml';
import type { JsonObject } from '../mesh.ts';
import { CENTRE } from './centre.ts';
import { type Alert, COVERAGE, MODULE, type Panel } from './filters.ts';

/** Prometheus' scrape configuration and alert rules, and a Grafana dashboard with a row for each filter and the healing centre. */

export interface ObservabilityFile {
  readonly path: string;
  readonly text: string;
}

/** Prometheus' `static_configs`. */
export interface Scrapes {
  readonly proxies: readonly JsonObject[];
  /** Replicas of the healing centre; none where there is none. */
  readonly centres: readonly JsonObject[];
}

export function renderObservability(scrapes: Scrapes = EXAMPLE): readonly ObservabilityFile[] {
  return [
    { path: 'prometheus.yaml', text: stringify(prometheus(scrapes)) },
    { path: 'alerts.yaml', text: stringify(alertRules(), { lineWidth: 120 }) },
    { path: 'dashboard.json', text: `${JSON.stringify(dashboard(), null, 2)}\n` },
  ];
}

/** Rows in order: the module, then each filter, then the healing centre. */
const ROWS = [['the module', MODULE] as const, ...Object.entries(COVERAGE), ['the healing centre', CENTRE] as const];

/**
 * The admin interface is a Unix socket, so each proxy needs a listener for its statistics: `envoy.example` stands for those.
 * Under Istio Pods have one on port 15090, which Istio's own scrape configuration finds.
 */
const EXAMPLE: Scrapes = {
  proxies: [{ targets: ['envoy.example:15090'] }],
  centres: [{ targets: ['centre.example:7070'] }],
};

function prometheus({ proxies, centres }: Scrapes): JsonObject {
  return {
    global: { scrape_interval: '5s', evaluation_interval: '15s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: [
      {
        job_name: 'causeway',
        metrics_path: '/stats/prometheus',
        static_configs: proxies,
        // Only ours: Envoy's own are hundreds for each cluster.
        metric_relabel_configs: [{ source_labels: ['__name__'], regex: 'causeway_.*', action: 'keep' }],
      },
      ...(centres.length === 0 ? [] : [{ job_name: 'causeway-centre', static_configs: centres }]),
    ],
  };
}

function alertRules(): JsonObject {
  return {
    groups: ROWS.filter(([, { alerts }]) => alerts.length > 0).map(([name, { alerts }]) => ({
      name: `causeway: ${name}`,
      rules: alerts.map(alertRule),
    })),
  };
}

function alertRule(alert: Alert): JsonObject {
  return {
    alert: alert.name,
    expr: alert.expr,
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: { summary: alert.summary, action: alert.action },
  };
}

/** Panels of one row stand side by side, three in a line. */
const COLUMNS = 3;
const WIDTH = 24 / COLUMNS;
const HEIGHT = 7;

function dashboard(): JsonObject {
  const panels: JsonObject[] = [];
  let y = 0;
  for (const [name, { panels: wanted }] of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: name,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: 24, h: 1 },
    });
    y += 1;
    for (const [at, panel] of wanted.entries()) {
      const place = { x: (at % COLUMNS) * WIDTH, y: y + Math.floor(at / COLUMNS) * HEIGHT, w: WIDTH, h: HEIGHT };
      panels.push(graph(panels.length + 1, panel, place));
    }
    y += Math.ceil(wanted.length / COLUMNS) * HEIGHT;
  }
  return {
    uid: 'causeway',
    title: 'Causeway',
    schemaVersion: 39,
    refresh: '5s',
    time: { from: 'now-15m', to: 'now' },
    templating: {
      list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' }],
    },
    panels,
  };
}

function graph(id: number, panel: Panel, gridPos: JsonObject): JsonObject {
  const datasource = { type: 'prometheus', uid: '$' + '{datasource}' };
  return {
    id,
    type: 'timeseries',
    title: panel.title,
    datasource,
    gridPos,
    fieldConfig: { defaults: { unit: panel.unit, min: 0 }, overrides: [] },
    targets: [{ refId: 'A', datasource, expr: panel.expr }],
  };
}
