import { setTimeout as sleep } from 'node:timers/promises';
import { ADDRESS, bootstrap, type HttpFilter, listener, plainCluster, plainRoute, wasmFilter } from './config.ts';
import { type MeasuredEnvoy, startMeasured } from './envoy.ts';
import { runLoad } from './load.ts';
import type { Modules } from './modules.ts';
import { BASELINE, fusedChain, SMALL, sections, TAG_HEADER } from './profiles.ts';
import { type Pinning, UPSTREAM_PORT } from './rig.ts';
import { median } from './stats.ts';

/** What the suite takes when nothing happens: memory of its VMs, CPU of its ticks. */

const FIRST_PORT = 7860;
const MIB = 1024 * 1024;

export interface MemoryFigures {
  /** KiB of one role's VM on one worker, V8's share included. */
  vmKib: number;
  /** MiB of the trace map with its 65,536 entries, in shared data, once per process. */
  mapMib: number;
}

/** Differences of resident memory between Envoys that differ in one thing each. */
export async function measureMemory(modules: Modules, script: string, pinning: Pinning): Promise<MemoryFigures> {
  const few = 1;
  const many = 5;
  const resident = async (name: string, concurrency: number, chains: readonly HttpFilter[][]): Promise<number> => {
    const listeners = chains.map((filters, n) =>
      listener({ name: `${name}${n}`, port: FIRST_PORT + n, filters, routes: [plainRoute('upstream')] }),
    );
    const clusters = [plainCluster('upstream', UPSTREAM_PORT)];
    const envoy = await startMeasured({
      name,
      cpus: pinning.measured,
      concurrency,
      bootstrap: bootstrap(listeners, clusters),
    });
    for (let n = 0; n < chains.length; n++) {
      const url = `http://${ADDRESS}:${FIRST_PORT + n}`;
      await runLoad({ url, script, seconds: 1, connections: 64, cpus: pinning.rest });
    }
    const bytes = envoy.residentBytes();
    await envoy.stop();
    return bytes;
  };
  const fused = [fusedChain('inbound', modules, 'fused', SMALL), fusedChain('outbound', modules, 'fused', SMALL)];
  const none = [[], []];
  const growth = async (name: string, chains: readonly HttpFilter[][]): Promise<number> =>
    (await resident(`${name}-many`, many, chains)) - (await resident(`${name}-few`, few, chains));
  const perVm =
    ((await growth('memory-fused', fused)) - (await growth('memory-none', none))) / (many - few) / fused.length;
  const map = async (entries: number): Promise<number> =>
    resident(`memory-map-${entries}`, few, [[mapOf(modules, entries)]]);
  return { vmKib: perVm / 1024, mapMib: ((await map(65_536)) - (await map(1_024))) / MIB };
}

function mapOf(modules: Modules, entries: number): HttpFilter {
  const configuration = { ...sections('inbound', SMALL)['trace-propagation'], entries };
  return wasmFilter({ file: modules.suite, rootId: 'trace-propagation', vmId: 'map', role: 'inbound', configuration });
}

export interface IdleFigures {
  /** CPU of the whole process, percent of one core. */
  one: number;
  many: number;
}

/** CPU of two Envoys without traffic that know one service and 200, in the same windows. */
export async function measureIdle(
  modules: Modules,
  windows: number,
  seconds: number,
  pinning: Pinning,
): Promise<IdleFigures> {
  const start = (count: number, port: number): Promise<MeasuredEnvoy> => {
    const names = Array.from({ length: count }, (_, n) => `service-${n}`);
    const outbound = {
      ...sections('outbound', SMALL),
      'lane-fallback': {
        ...sections('outbound', SMALL)['lane-fallback'],
        baseline: BASELINE,
        tagHeader: TAG_HEADER,
        services: names.map((name) => ({ name, authorities: [name, `${name}:9080`] })),
      },
    };
    const suite = wasmFilter({
      file: modules.suite,
      rootId: 'causeway',
      vmId: 'idle',
      role: 'outbound',
      configuration: outbound,
    });
    const routes = [plainRoute('service-0')];
    return startMeasured({
      name: `idle${count}`,
      cpus: pinning.measured,
      bootstrap: bootstrap(
        [listener({ name: 'outbound', port, filters: [suite], routes })],
        names.map((name) => plainCluster(name, UPSTREAM_PORT)),
      ),
    });
  };
  const envoys = [await start(1, FIRST_PORT + 10), await start(200, FIRST_PORT + 11)] as const;
  await sleep(2_000);
  const shares: [number[], number[]] = [[], []];
  for (let window = 0; window < windows; window++) {
    const before = envoys.map((envoy) => envoy.processCpuNs());
    const from = performance.now();
    await sleep(seconds * 1_000);
    const elapsed = performance.now() - from;
    envoys.forEach((envoy, n) => {
      shares[n as 0 | 1].push((100 * (envoy.processCpuNs() - (before[n] ?? 0))) / 1e6 / elapsed);
    });
  }
  await Promise.all(envoys.map((envoy) => envoy.stop()));
  return { one: median(shares[0]), many: median(shares[1]) };
}
