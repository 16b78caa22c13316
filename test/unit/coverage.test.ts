import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { resolveIstio } from '../../envoy-configs/istio/options.ts';
import { NotOnIstio, renderIstio } from '../../envoy-configs/istio/render.ts';
import { CENTRE } from '../../envoy-configs/observability/centre.ts';
import { COVERAGE, MODULE, NO_FILTERS } from '../../envoy-configs/observability/filters.ts';
import { renderObservability } from '../../envoy-configs/observability/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { METRIC_LABELS } from '../../envoy-configs/stats.ts';
import { ruleNames } from '../../harness/doctor/doctor.ts';
import { noPromtool } from '../support/required.ts';

/** A filter is whole when Istio, dashboard, doctor and README know it. Filters that land later must pass too. */

const ROOT = new URL('../..', import.meta.url).pathname;
const FILTERS = readdirSync(join(ROOT, 'filters'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !NO_FILTERS.includes(entry.name))
  .map(({ name }) => name);
const DEMO = readFileSync(join(ROOT, 'harness/demo/bookinfo.yaml'), 'utf8');

const istioText = (change: (config: CausewayConfig) => void = () => {}) => {
  const config = parse(DEMO) as CausewayConfig;
  change(config);
  const istio = resolveIstio(config.istio, { url: 'file:///w.wasm', sha256: '' }, 'envoyfilter');
  return JSON.stringify(renderIstio(resolveMesh(config), istio));
};

/** What turns a filter on that is not on by itself. */
const SWITCHED_ON: Readonly<Record<string, (config: CausewayConfig) => void>> = {
  'overload-shedding': (config) => Object.assign(config.services.reviews ?? {}, { overload: {} }),
  'adaptive-rate-limit': (config) => Object.assign(config.services.reviews ?? {}, { limits: { perSecond: 10 } }),
  degradation: (config) => Object.assign(config.services.reviews ?? {}, { breaker: {} }),
  agent: (config) => Object.assign(config, { agent: {} }),
};

it('names exactly the folders that are there', () => {
  expect(Object.keys(COVERAGE).sort()).toEqual([...FILTERS].sort());
  for (const name of NO_FILTERS) expect(existsSync(join(ROOT, 'filters', name))).toBe(true);
});

describe.each(FILTERS)('%s', (name) => {
  const coverage = COVERAGE[name];
  const prefix = `causeway_${name.replaceAll('-', '_')}_`;
  const expressions = [...(coverage?.panels ?? []), ...(coverage?.alerts ?? [])].map(({ expr }) => expr);

  it('is rendered for Istio, or it is said why not', () => {
    if (coverage?.istio === true) expect(istioText(SWITCHED_ON[name])).toContain(`\\"${name}\\"`);
    else expect(coverage?.istio).toMatch(/.{40}/);
  });

  it('has a row of panels and an alert about its own metrics', () => {
    expect(coverage?.panels.length).toBeGreaterThan(1);
    expect(coverage?.alerts.length).toBeGreaterThan(0);
    for (const expression of expressions) expect(expression).toContain(prefix);
  });

  it('asks only for metrics that its sources count, by labels that stats_tags make', () => {
    const sources = readdirSync(join(ROOT, 'filters', name))
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(ROOT, 'filters', name, file), 'utf8'))
      .join('\n');
    for (const expression of expressions) {
      for (const [metric = ''] of expression.matchAll(/causeway_[a-z_]+/g)) {
        const event = metric.slice(prefix.length);
        const counted = [event, event.replace(/_total$/, '')].some(
          (word) =>
            sources.includes(`${word}'`) ||
            sources.includes(`${word}.`) ||
            sources.includes(`${word}_total`) ||
            sources.includes(`${word}\``),
        );
        expect([metric, counted]).toEqual([metric, true]);
      }
      for (const [, labels = ''] of expression.matchAll(/by \(([^)]*)\)/g)) {
        for (const label of labels.split(', ')) expect([...METRIC_LABELS, 'instance']).toContain(label);
      }
    }
  });

  it('is looked at by rules of the doctor that exist', () => {
    expect(coverage?.doctor.length).toBeGreaterThan(0);
    for (const rule of coverage?.doctor ?? []) expect(ruleNames()).toContain(rule);
  });

  it('has a README with tables of its configuration and its metrics', () => {
    const readme = readFileSync(join(ROOT, 'filters', name, 'README.md'), 'utf8');
    expect(readme).toMatch(/^## Configuration/m);
    expect(readme).toMatch(/^## Metrics/m);
  });
});

describe('the healing centre', () => {
  const folder = join(ROOT, 'harness/centre');
  const words = (text: string, pattern: RegExp) => new Set(Array.from(text.matchAll(pattern), ([, word = '']) => word));
  const shown = [...CENTRE.panels, ...CENTRE.alerts].map(({ expr }) => expr).join('\n');
  const asked = words(shown, /causeway_centre_([a-z_]+)/g);

  it('is asked for what its sources count, and for nothing else', () => {
    const sources = [...readdirSync(folder).map((file) => join(folder, file)), join(ROOT, 'harness/commands/centre.ts')]
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    const counted = words(sources, /metrics\.(?:count|set)\(\s*'([a-z_]+)'/g);
    expect(counted.size).toBeGreaterThan(10);
    expect([...asked].sort()).toEqual([...counted].sort());
  });

  it('has a row for each metric of its README', () => {
    const table =
      /^\| metric `causeway_centre_…`[\s\S]*?\n\n/m.exec(readFileSync(join(folder, 'README.md'), 'utf8'))?.[0] ?? '';
    const cells = table.split('\n').map((line) => line.split('|')[1] ?? '');
    expect(words(cells.slice(1).join(), /`([a-z_]+)[`{]/g)).toEqual(asked);
  });
});

it('refuses for Istio what is not there, instead of leaving it out', () => {
  expect(() => istioText((config) => Object.assign(config, { centre: {} }))).toThrow(NotOnIstio);
  const isolated = (config: CausewayConfig) => Object.assign(config, { isolation: {} });
  expect(() => istioText(isolated)).toThrow(NotOnIstio);
});

describe('what is rendered', () => {
  const files = new Map(renderObservability().map(({ path, text }) => [path, text]));

  it('shows every panel once, with ids and places of their own', () => {
    const { panels } = JSON.parse(files.get('dashboard.json') ?? '') as {
      panels: { id: number; type: string; gridPos: { x: number; y: number } }[];
    };
    const graphs = panels.filter(({ type }) => type === 'timeseries');
    const wanted = [MODULE, ...Object.values(COVERAGE), CENTRE].flatMap((coverage) => coverage.panels);
    expect(graphs.length).toBe(wanted.length);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ gridPos }) => `${gridPos.x},${gridPos.y}`)).size).toBe(panels.length);
  });

  it.skipIf(noPromtool() !== null)('is accepted by promtool', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cw-prom-'));
    try {
      for (const [path, text] of files) writeFileSync(join(folder, path), text);
      for (const args of [
        ['check', 'config', 'prometheus.yaml'],
        ['check', 'rules', 'alerts.yaml'],
      ]) {
        const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' });
        expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, '']);
      }
      const broken = (files.get('alerts.yaml') ?? '').replace('sum by', 'sum bye');
      writeFileSync(join(folder, 'alerts.yaml'), broken);
      expect(spawnSync('promtool', ['check', 'rules', 'alerts.yaml'], { cwd: folder }).status).not.toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
