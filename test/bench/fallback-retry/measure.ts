/**
 * The measurement that chose the mechanism for fallback after a failed try. Real Envoy, one worker, instances dev1 and
 * grp2 (one each) and base (two); every cell is 100 requests, 10 at a time, that want dev1 → grp2 → base.
 *
 *   npx tsx test/bench/fallback-retry/measure.ts      prints the table, writes build/fallback-retry.json
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type BackendMode, Backends } from './backends.ts';
import { bootstrap, type Mechanism, mechanisms } from './mechanisms.ts';
import { type Answer, call, envoy, service } from './rig.ts';

const ADDRESS = '127.78.0.1';
const PORT = 15001;
const REQUESTS = 100;
const PARALLEL = 10;

interface Cell {
  mechanism: string;
  fault: string;
  method: string;
  failed: number;
  /** Share of answers by lane, in percent. */
  lanes: Record<string, number>;
  /** Applications' runs per request. */
  runs: number;
}

/** What is done to instances. */
const FAULTS: readonly { name: string; modes: Readonly<Record<string, BackendMode>> }[] = [
  { name: 'healthy', modes: {} },
  { name: 'dev1 refuses', modes: { 'dev1-0': 'refuse' } },
  { name: 'dev1, grp2 refuse', modes: { 'dev1-0': 'refuse', 'grp2-0': 'refuse' } },
  { name: 'dev1 resets on accept', modes: { 'dev1-0': 'accept-reset' } },
  { name: 'dev1 works, then resets', modes: { 'dev1-0': 'reset' } },
  { name: 'dev1 works, then 503', modes: { 'dev1-0': '503' } },
];

async function load(mechanism: Mechanism, method: string): Promise<Answer[]> {
  const answers: Answer[] = [];
  let left = REQUESTS;
  const worker = async (): Promise<void> => {
    while (left-- > 0)
      answers.push(await call(ADDRESS, PORT, { method, path: mechanism.path, headers: mechanism.headers }));
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return answers;
}

function sum(counts: Record<string, Record<string, number>>): number {
  return Object.values(counts).reduce((total, methods) => total + Object.values(methods).reduce((a, b) => a + b, 0), 0);
}

async function cell(backends: Backends, mechanism: Mechanism, fault: string, method: string): Promise<Cell> {
  const before = sum(await backends.counts());
  const answers = await load(mechanism, method);
  const runs = (sum(await backends.counts()) - before) / REQUESTS;
  const good = answers.filter((answer) => answer.status === 200);
  const lanes: Record<string, number> = {};
  for (const { instance } of good) {
    const lane = instance.replace(/-\d+$/, '');
    lanes[lane] = (lanes[lane] ?? 0) + 100 / REQUESTS;
  }
  return { mechanism: mechanism.name, fault, method, failed: answers.length - good.length, lanes, runs };
}

async function main(): Promise<void> {
  const reviews = service('reviews', 78, { dev1: 1, grp2: 1, base: 2 });
  const backends = await Backends.start(reviews.instances, 'http1');
  const proxy = await envoy('fallback-retry', bootstrap(reviews, ADDRESS, PORT));
  const cells: Cell[] = [];
  try {
    for (const fault of FAULTS) {
      for (const { id } of reviews.instances) await backends.set(id, fault.modes[id] ?? 'ok');
      for (const mechanism of mechanisms(reviews)) {
        for (const method of ['GET', 'POST']) {
          const row = await cell(backends, mechanism, fault.name, method);
          cells.push(row);
          const lanes = Object.entries(row.lanes).map(([lane, share]) => `${lane} ${Math.round(share)} %`);
          process.stdout.write(
            `${row.fault.padEnd(24)} ${row.mechanism.padEnd(44)} ${method.padEnd(5)} failed ${String(row.failed).padStart(3)}  runs ${row.runs.toFixed(2)}  ${lanes.join(', ')}\n`,
          );
        }
      }
    }
  } finally {
    await proxy.stop();
    await backends.stop();
  }
  mkdirSync('build', { recursive: true });
  writeFileSync('build/fallback-retry.json', `${JSON.stringify(cells, null, 2)}\n`);
}

await main();
