import { ADDRESS, bootstrap, type HttpFilter, listener, plainCluster, plainRoute, wasmFilter } from './config.ts';
import { startMeasured } from './envoy.ts';
import { TRACE_IDS, writeScript } from './load.ts';
import type { Modules } from './modules.ts';
import {
  AUTHORITY,
  fusedChain,
  hostAddress,
  laneClusters,
  laneRoutes,
  type MeshSize,
  SMALL,
  TAG_HEADER,
} from './profiles.ts';
import { type Pinning, UPSTREAM_PORT } from './rig.ts';
import type { Measurable } from './rounds.ts';

/** One size of something that may grow. */
export interface Step extends Measurable {
  readonly axis: 'lanes' | 'rules' | 'instances' | 'instances, no filter';
  readonly size: number;
}

const FIRST_PORT = 7810;

/** What a mesh of many has: lanes, tagging rules, instances of a service. All in one Envoy, each with a listener. */
export async function startGrowth(modules: Modules, pinning: Pinning): Promise<readonly Step[]> {
  const listeners: object[] = [];
  const clusters: object[] = [plainCluster('upstream', UPSTREAM_PORT)];
  const steps: Omit<Step, 'sut'>[] = [];
  const add = (
    axis: Step['axis'],
    size: number,
    filters: readonly HttpFilter[],
    routes: readonly object[],
    script: string,
  ): void => {
    const port = FIRST_PORT + listeners.length;
    listeners.push(listener({ name: `${axis.replaceAll(/[ ,]+/g, '_')}${size}`, port, filters, routes }));
    steps.push({ axis, size, url: `http://${ADDRESS}:${port}`, script, teach: null });
  };
  const mesh = (axis: Step['axis'], count: number, size: MeshSize, script: string): void => {
    const name = `${axis}${count}`;
    clusters.push(...laneClusters(name, size, UPSTREAM_PORT));
    add(axis, count, fusedChain('outbound', modules, name, size), laneRoutes(name, size), script);
  };
  for (const count of [1, 100, 1_000]) {
    const lanes = Array.from({ length: count }, (_, n) => `lane-${n}`);
    mesh('lanes', count, { ...SMALL, lanes }, call(`lanes${count}`, { [TAG_HEADER]: 'lane-{n}' }, count));
  }
  for (const count of [1, 30, 300]) {
    add(
      'rules',
      count,
      [tagging(modules, count)],
      [plainRoute('upstream')],
      call(`rules${count}`, { 'x-user': `user-${count - 1}` }),
    );
  }
  const untagged = call('untagged', {});
  for (const count of [10, 1_000]) {
    mesh('instances', count, { lanes: SMALL.lanes, instances: count }, untagged);
    const name = `plain${count}`;
    clusters.push(
      plainCluster(
        name,
        UPSTREAM_PORT,
        Array.from({ length: count }, (_, n) => hostAddress(n)),
      ),
    );
    add('instances, no filter', count, [], [plainRoute(name)], untagged);
  }
  const sut = await startMeasured({
    name: 'growth',
    cpus: pinning.measured,
    bootstrap: bootstrap(listeners, clusters),
  });
  return steps.map((step) => ({ ...step, sut }));
}

/** `count` rules of which the load matches the last one. */
function tagging(modules: Modules, count: number): HttpFilter {
  const rules = Array.from({ length: count }, (_, n) => ({
    name: `rule-${n}`,
    lane: 'dev1',
    match: { header: { name: 'x-user', exact: `user-${n}` } },
  }));
  const configuration = { tagHeader: TAG_HEADER, trust: 'all', rules };
  return wasmFilter({
    file: modules.suite,
    rootId: 'lane-tagging',
    vmId: `rules${count}`,
    role: 'outbound',
    configuration,
  });
}

function call(name: string, headers: Readonly<Record<string, string>>, alternatives = 1): string {
  return writeScript(name, {
    path: '/reviews/1',
    ids: 'known',
    headers: { host: AUTHORITY, 'x-request-id': '{id}', ...headers },
    alternatives: Math.min(alternatives, TRACE_IDS),
  });
}
