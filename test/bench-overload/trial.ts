import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadResult, runLoad, startApp } from '../../harness/overload/processes.ts';
import { type MeasuredEnvoy, startMeasured, workDir } from '../bench/envoy.ts';
import { type Protection, protectedChain } from './protections.ts';
import { phases, type Scenario } from './scenarios.ts';

/** The rig's own loopback address: nothing else of the project listens there. */
const ADDRESS = '127.0.78.1';
const PORTS = { proxy: 7800, app: 7801 };
const SCRIPT = join(import.meta.dirname, '../../build/overload.mjs');

export interface Trial {
  readonly scenario: Scenario;
  readonly protection: Protection;
  readonly workers: number;
  readonly seed: number;
  /** Response header in which the application reports its queue; empty = it reports nothing. */
  readonly queueHeader: string;
}

/** Share of the requests that carry the core class. */
export const CORE_SHARE = 0.3;

/** Callers, Envoy and application, started for this trial and ended after it: nothing learned before helps or hinders. */
export async function runTrial({ scenario, protection, workers, seed, queueHeader }: Trial): Promise<LoadResult> {
  const { slots, service, events } = scenario;
  const settings = { slots, service, slowdown: 1, dependencyMs: 0, seed, queueHeader, address: ADDRESS };
  const [app, envoy] = await Promise.all([
    startApp(SCRIPT, { ...settings, port: PORTS.app }),
    startMeasured({
      name: 'overload',
      cpus: '0-63',
      concurrency: workers,
      bootstrap: protectedChain(protection, PORTS, ADDRESS),
    }),
  ]);
  const over = new AbortController();
  const play = async (): Promise<void> => {
    const start = performance.now();
    for (const event of events) {
      await sleep(Math.max(0, start + event.at - performance.now()), undefined, { signal: over.signal });
      if ('change' in event) app.change(event.change);
      else app.signal(event.signal);
    }
  };
  let played: Promise<void> | undefined;
  try {
    return await runLoad(
      SCRIPT,
      {
        address: ADDRESS,
        port: PORTS.proxy,
        authority: 'app',
        streams: [{ name: 'all', path: '/work', headers: {}, coreShare: CORE_SHARE, phases: phases(scenario) }],
        patienceMs: 250,
        coreHeader: ['x-causeway-class', '1'],
        users: 10_000,
        userHeader: 'x-user',
        seed,
      },
      join(workDir, 'overload.record'),
      {
        started: () => {
          played = play();
        },
      },
    );
  } finally {
    over.abort();
    await played?.catch(() => {});
    await Promise.all([app.stop(), stopped(envoy)]);
  }
}

async function stopped(envoy: MeasuredEnvoy): Promise<void> {
  await envoy.stop();
}
