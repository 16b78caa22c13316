import { join } from 'node:path';
import { stringify } from 'yaml';
import { renderObservability } from '../../envoy-configs/observability/render.ts';
import { STATS_PORT, statsPath, statsProxy } from '../../envoy-configs/observability/stats-proxy.ts';
import { ENVOY_IMAGE } from '../envoy/version.ts';
import type { NodePlan } from './driver.ts';
import type { StateFolder } from './state.ts';

/** Prometheus and Grafana beside a mesh of containers; they start with `--profile observability` alone. */

export const OBSERVABILITY_PROFILE = 'observability';

const PROMETHEUS_IMAGE = 'prom/prometheus:v3.5.0';
const GRAFANA_IMAGE = 'grafana/grafana:12.1.0';
/** Name of the Envoy that hands statistics out; no node of a mesh can be called like it. */
const STATS = 'observability-stats';

const folderOf = (state: StateFolder) => join(state.root, 'observability');

/** Files that the containers read, by absolute path. */
export function observabilityFiles(plans: readonly NodePlan[], state: StateFolder): Readonly<Record<string, string>> {
  const folder = folderOf(state);
  const nodes = plans.map(({ node: { id, adminSocket } }) => ({ id, adminSocket }));
  const proxies = nodes.map(({ id }) => ({
    targets: [`${STATS}:${STATS_PORT}`],
    labels: { instance: id, __metrics_path__: statsPath(id) },
  }));
  const rendered = renderObservability({ proxies, centres: [] });
  const files = Object.fromEntries(rendered.map(({ path, text }) => [join(folder, path), text]));
  return {
    ...files,
    [join(folder, 'stats-proxy.json')]: `${JSON.stringify(statsProxy('0.0.0.0', nodes), null, 2)}\n`,
    [join(folder, 'datasources/prometheus.yaml')]: stringify(datasource()),
    [join(folder, 'dashboards/causeway.yaml')]: stringify(dashboards(folder)),
  };
}

/** Services of the compose file. `user` may open the admin sockets. */
export function observabilityServices(state: StateFolder, user: string): Record<string, unknown> {
  const folder = folderOf(state);
  const shared = { profiles: [OBSERVABILITY_PROFILE], networks: { mesh: {} }, stop_grace_period: '3s' };
  return {
    [STATS]: {
      ...shared,
      image: `\${ENVOY_IMAGE:-${ENVOY_IMAGE}}`,
      entrypoint: ['envoy'],
      command: ['--config-path', join(folder, 'stats-proxy.json'), '--disable-hot-restart', '--concurrency', '1'],
      user,
      volumes: [`${folder}:${folder}:ro`, `${state.run}:${state.run}`],
    },
    'observability-prometheus': {
      ...shared,
      image: `\${PROMETHEUS_IMAGE:-${PROMETHEUS_IMAGE}}`,
      entrypoint: ['prometheus'],
      command: [`--config.file=${join(folder, 'prometheus.yaml')}`, '--storage.tsdb.path=/prometheus'],
      volumes: [`${folder}:${folder}:ro`],
      ports: ['127.0.0.1:9090:9090'],
      depends_on: [STATS],
    },
    'observability-grafana': {
      ...shared,
      image: `\${GRAFANA_IMAGE:-${GRAFANA_IMAGE}}`,
      // On loopback, to look only.
      environment: { GF_AUTH_ANONYMOUS_ENABLED: 'true', GF_AUTH_ANONYMOUS_ORG_ROLE: 'Viewer' },
      volumes: [
        `${folder}:${folder}:ro`,
        `${join(folder, 'datasources')}:/etc/grafana/provisioning/datasources:ro`,
        `${join(folder, 'dashboards')}:/etc/grafana/provisioning/dashboards:ro`,
      ],
      ports: ['127.0.0.1:3000:3000'],
      depends_on: ['observability-prometheus'],
    },
  };
}

function datasource() {
  const prometheus = {
    name: 'Prometheus',
    type: 'prometheus',
    url: 'http://observability-prometheus:9090',
    isDefault: true,
  };
  return { apiVersion: 1, datasources: [prometheus] };
}

function dashboards(folder: string) {
  return {
    apiVersion: 1,
    providers: [{ name: 'causeway', type: 'file', options: { path: join(folder, 'dashboard.json') } }],
  };
}
