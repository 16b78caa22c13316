/**
 * A flood of distinct tagged trace ids through a real Envoy beside honest traffic: the trace map keeps what the honest
 * application needs, and no more memory than is stated. CAUSEWAY_SCALE=1 sends a million ids.
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { allHold, type Measured, verdictLines, writeFigures } from '../figures/figures.ts';
import { floodBootstrap, HOLD } from '../flood/bootstrap.ts';
import { CALLS, HonestTraffic } from '../flood/honest.ts';
import type { FloodCount, FloodPlan } from '../flood/load.ts';
import { StartedEnvoy } from '../flood/sidecar.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scale } from '../support/scale.ts';

const SCALE = scale();
const IDS = Math.round(1_000_000 / SCALE);
const ENTRIES = 65_536;
const SMALLEST = 1024;
/** On a part of the size it is a test beside others, which may leave less of the machine to it. */
const HONEST_PER_SECOND = SCALE === 1 ? 200 : 50;
const WORKERS = 2;
const DEADLINE_MS = 900_000;

/** Bytes that one entry costs more, as the filter's README states it. */
function statedPerEntry(): number {
  const readme = readFileSync(join(import.meta.dirname, '../../filters/trace-propagation/README.md'), 'utf8');
  const formula = /`entries` \/ (\d+) × (\d+) bytes/.exec(readme);
  if (formula === null) throw new Error('the README states no memory');
  return Number(formula[2]) / Number(formula[1]);
}

/** Runs the flood in its own process; `count` follows it. Rejects when it ends early. */
function startFlood(plan: FloodPlan, count: FloodCount & { done: boolean }): Promise<void> {
  const script = join(import.meta.dirname, '../flood/flooder.ts');
  const child = fork(script, [JSON.stringify(plan)], { execArgv: ['--import', 'tsx'] });
  child.on('message', (message) => Object.assign(count, message));
  return new Promise((resolve, reject) => {
    const bound = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(bound);
      if (count.done) resolve();
      else reject(new Error(`the flood ended early: ${signal ?? code}, ${JSON.stringify(count)}`));
    });
  });
}

/** What Envoy has allocated when no client is connected and two looks in a row agree. */
async function settledBytes(envoy: StartedEnvoy): Promise<number> {
  let before = 0;
  return await waitUntil(
    'memory to settle',
    async () => {
      const open = await envoy.openConnections();
      const bytes = await envoy.allocatedBytes();
      const calm = open === 0 && Math.abs(bytes - before) < 16_384;
      before = bytes;
      return calm ? found(bytes) : notYet(`${open} connections, ${bytes} bytes`);
    },
    { deadlineMs: 30_000, intervalMs: 500 },
  );
}

interface Run {
  readonly flooded: FloodCount;
  readonly seconds: number;
}

/** One flood of `ids`, honest traffic beside it from beginning to end. */
async function run(envoy: StartedEnvoy, honest: HonestTraffic, ids: number): Promise<Run> {
  const [inbound, outbound] = [envoy.port('inbound'), envoy.port('outbound')];
  const count = { sent: 0, answered: 0, failed: 0, done: false };
  const began = Date.now();
  let seconds = 0;
  let ended = false;
  const plan = { port: inbound, ids, heldOfTen: 1, holdMs: 2000, holdHeader: HOLD };
  const flooded = startFlood(plan, count).finally(() => {
    seconds = (Date.now() - began) / 1000;
    ended = true;
  });
  await Promise.all([flooded, honest.run(inbound, outbound, HONEST_PER_SECOND, () => ended)]);
  honest.disconnect();
  return { flooded: count, seconds };
}

/** Memory of an Envoy with a map of `entries` after it has served, and what else `then` wants to know of it. */
async function afterServing(
  entries: number,
  honest: HonestTraffic,
  ids: number,
  then: (envoy: StartedEnvoy, run: Run) => Promise<void>,
): Promise<number> {
  const module = await compilePlugin('filters/suite.ts');
  const options = { module, entries, appPort: honest.appPort };
  const envoy = await StartedEnvoy.start((adminSocket) => floodBootstrap({ ...options, adminSocket }), WORKERS);
  try {
    const done = await run(envoy, honest, ids);
    await then(envoy, done);
    return await settledBytes(envoy);
  } finally {
    await envoy.stop();
  }
}

/** Zero when no request is in flight any more. */
async function pinsLeft(envoy: StartedEnvoy): Promise<number> {
  // Workers hand the gauge over on their ticks, once a second.
  const settled = async () => {
    const pinned = await envoy.metric('pinned');
    return pinned === 0 ? found(pinned) : notYet(`${pinned} pinned`);
  };
  return await waitUntil('no request to hold a pin', settled, { deadlineMs: 5000, intervalMs: 250 });
}

/** What one flood did to honest traffic, as figures. */
async function figuresOf(envoy: StartedEnvoy, honest: HonestTraffic, { flooded, seconds }: Run): Promise<Measured[]> {
  const { hits, misses, failed, requests } = honest.count;
  const figure = (metric: string, value: number, unit: string): Measured => ({ name: 'flood', metric, value, unit });
  return [
    figure('honest hit rate', hits / (hits + misses), 'share'),
    figure('honest requests and calls that failed', failed, 'requests'),
    figure('flood requests that failed', flooded.failed, 'requests'),
    figure('pins left when all requests have ended', await pinsLeft(envoy), 'entries'),
    figure('flooded ids', flooded.answered, 'ids'),
    figure('flood rate', Math.round(flooded.answered / seconds), 'ids/s'),
    figure('honest requests', requests, 'requests'),
    figure('honest calls', hits + misses, 'calls'),
    figure('honest rate', Math.round(requests / seconds), 'requests/s'),
    figure('evicted before their time', await envoy.metric('evicted_live_total'), 'entries'),
    figure('updates given up', await envoy.metric('cas_exhausted_total'), 'updates'),
    figure('stored without a pin', await envoy.metric('unpinned_total'), 'entries'),
  ];
}

it(
  `honest requests keep their tag beside ${IDS} flooded trace ids`,
  async () => {
    const honest = await HonestTraffic.start();
    try {
      // What serving so many streams at once costs by itself is the same with the smallest map.
      const small = await afterServing(SMALLEST, honest, Math.min(IDS, 50_000), async () => undefined);
      const measured: Measured[] = [];
      const large = await afterServing(ENTRIES, honest, IDS, async (envoy, done) => {
        measured.push(...(await figuresOf(envoy, honest, done)));
      });
      const memory = (large - small) / ((ENTRIES - SMALLEST) * statedPerEntry());
      measured.push({ name: 'flood', metric: 'map memory beside stated', value: memory, unit: 'share' });
      const figures = writeFigures('flood', measured);
      for (const line of verdictLines(figures)) process.stdout.write(`${line}\n`);
      for (const { metric, value, unit, target } of figures) {
        if (target === null) process.stdout.write(`        ${metric}: ${value} ${unit}\n`);
      }
      expect(allHold(figures), `${JSON.stringify(figures)}; last failure: ${honest.lastFailure}`).toBe(true);
      const value = (metric: string): number => measured.find((one) => one.metric === metric)?.value ?? Number.NaN;
      expect(value('flooded ids')).toBe(IDS);
      expect(value('honest calls')).toBe(value('honest requests') * CALLS);
      expect(value('honest rate'), 'honest traffic ran all the time').toBeGreaterThan(HONEST_PER_SECOND * 0.8);
      expect(value('evicted before their time'), 'the flood filled the map').toBeGreaterThan(0);
    } finally {
      await honest.stop();
    }
  },
  DEADLINE_MS + 60_000,
);
