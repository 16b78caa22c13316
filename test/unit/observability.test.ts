import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderMesh } from '../../envoy-configs/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { composeFile } from '../../harness/drivers/compose-file.ts';
import { OBSERVABILITY_PROFILE, observabilityFiles } from '../../harness/drivers/compose-observability.ts';
import { planOf } from '../../harness/drivers/driver.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { validateEnvoy } from '../../harness/envoy/launcher.ts';
import { noPromtool, notInstalled, skipWithout } from '../support/required.ts';

/** Prometheus and Grafana beside a mesh of containers. */

const noCompose = skipWithout(
  'docker',
  notInstalled(['docker-compose', '--version'], 'apt-get install docker-compose'),
);

let root = '';
let files: Readonly<Record<string, string>> = {};
let compose = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cw-obs-'));
  const config = parse(
    readFileSync(new URL('../../harness/demo/bookinfo.yaml', import.meta.url), 'utf8'),
  ) as CausewayConfig;
  const state = new StateFolder(root);
  const mesh = resolveMesh(config, { network: '172.28', gatewayAddress: '0.0.0.0' });
  const plans = planOf(mesh, renderMesh(mesh, state.target('/m/causeway.wasm')));
  files = observabilityFiles(plans, state);
  compose = composeFile(plans, { state, wasmPath: '/m/causeway.wasm', prefix: '172.28', user: '0:0' });
  for (const [path, text] of Object.entries({ ...files, [join(root, 'compose.yaml')]: compose })) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const file = (name: string) => files[join(root, 'observability', name)] ?? '';

describe('what the containers read', () => {
  it('asks every proxy of the mesh by a path of its own', () => {
    const { scrape_configs } = parse(file('prometheus.yaml')) as {
      scrape_configs: { static_configs: { labels: { instance: string; __metrics_path__: string } }[] }[];
    };
    const asked = scrape_configs[0]?.static_configs.map(({ labels }) => labels) ?? [];
    expect(asked).toHaveLength(13);
    for (const { instance, __metrics_path__ } of asked) {
      expect(__metrics_path__).toBe(`/${instance}`);
      expect(file('stats-proxy.json')).toContain(`"path": "/${instance}"`);
    }
  });

  it.skipIf(noPromtool() !== null)('is accepted by promtool', () => {
    const cwd = join(root, 'observability');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', 'prometheus.yaml'], {
      cwd,
      encoding: 'utf8',
    });
    expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, '']);
  });

  it('is accepted by Envoy', async () => {
    const { path } = await resolveEnvoy();
    const { ok, output } = await validateEnvoy(path, join(root, 'observability/stats-proxy.json'));
    expect([ok, ok ? '' : output]).toEqual([true, '']);
  });

  it('gives Grafana a data source and the dashboard', () => {
    const { providers } = parse(file('dashboards/causeway.yaml')) as { providers: { options: { path: string } }[] };
    const { title } = JSON.parse(readFileSync(providers[0]?.options.path ?? '', 'utf8')) as { title: string };
    expect(title).toBe('Causeway');
    expect(file('datasources/prometheus.yaml')).toContain('http://observability-prometheus:9090');
  });
});

describe('the compose file', () => {
  const extra = () =>
    Object.entries(
      (parse(compose) as { services: Record<string, { profiles?: string[]; ports?: string[] }> }).services,
    ).filter(([name]) => name.startsWith('observability-'));

  it('starts them by their profile alone, on loopback', () => {
    expect(extra().map(([name]) => name)).toEqual([
      'observability-stats',
      'observability-prometheus',
      'observability-grafana',
    ]);
    for (const [, { profiles, ports = [] }] of extra()) {
      expect(profiles).toEqual([OBSERVABILITY_PROFILE]);
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  it.skipIf(noCompose !== null)('is accepted by docker-compose', () => {
    const services = (...options: string[]) => {
      const args = ['--file', join(root, 'compose.yaml'), ...options, 'config', '--services'];
      const { status, stdout, stderr } = spawnSync('docker-compose', args, { encoding: 'utf8' });
      expect([status, status === 0 ? '' : stderr]).toEqual([0, '']);
      return stdout.trim().split('\n');
    };
    expect(services('--profile', OBSERVABILITY_PROFILE)).toContain('observability-grafana');
  });
});
