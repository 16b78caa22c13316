import { ADDRESS, bootstrap, listener, plainCluster, plainRoute, wasmFilter } from './config.ts';
import { startMeasured } from './envoy.ts';
import { writeScript } from './load.ts';
import type { Modules } from './modules.ts';
import { SMALL, sections, TAG_HEADER } from './profiles.ts';
import { UPSTREAM_PORT } from './rig.ts';
import type { Measurable } from './rounds.ts';

/** One number of workers, with every request reading and writing the trace map, or with the empty filter. */
export interface WorkersCase extends Measurable {
  readonly workers: number;
  readonly filter: 'trace' | 'floor';
}

export const WORKERS = [1, 2, 4];
const FIRST_PORT = 7840;

/** An Envoy per number of workers, all on all CPUs: contention for the map is what is looked for, not idle cores. */
export async function startWorkers(modules: Modules, cpus: string): Promise<readonly WorkersCase[]> {
  const script = writeScript('workers', {
    path: '/reviews/1',
    ids: 'fresh',
    headers: { 'x-request-id': '{id}', [TAG_HEADER]: 'dev1' },
  });
  const configuration = sections('inbound', SMALL)['trace-propagation'] ?? {};
  const filters = {
    trace: wasmFilter({
      file: modules.suite,
      rootId: 'trace-propagation',
      vmId: 'trace',
      role: 'inbound',
      configuration,
    }),
    floor: wasmFilter({ file: modules.empty, rootId: 'empty', vmId: 'empty', role: 'inbound', configuration: {} }),
  };
  const cases: WorkersCase[] = [];
  for (const workers of WORKERS) {
    const kinds = (['trace', 'floor'] as const).map((filter, n) => ({ filter, port: FIRST_PORT + 2 * workers + n }));
    const listeners = kinds.map(({ filter, port }) =>
      listener({ name: filter, port, filters: [filters[filter]], routes: [plainRoute('upstream')] }),
    );
    const sut = await startMeasured({
      name: `workers${workers}`,
      cpus,
      concurrency: workers,
      bootstrap: bootstrap(listeners, [plainCluster('upstream', UPSTREAM_PORT)]),
    });
    for (const { filter, port } of kinds) {
      cases.push({ sut, workers, filter, url: `http://${ADDRESS}:${port}`, script, teach: null });
    }
  }
  return cases;
}
