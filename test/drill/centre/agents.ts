/**
 * `npm run bench:centre`: one healing centre under simulated agents on loopback, bounded in count and time. Prints what a person
 * who plans a machine for it asks: CPU, memory, how long from the report that makes a quorum to the verdict at an agent.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import type { SyncAnswer } from '../../harness/centre/api.ts';
import { addressOf, CentreProcess, tokenOf, writeFiles } from '../centre/process.ts';

const AGENTS = 10_000;
/** A tenth of the agents has something listed and comes every two seconds; the others come when the centre says. */
const BUSY = AGENTS / 10;
const BUSY_MS = 2_000;
const QUIET_MS = 8_000;
const SECONDS = Number(process.env.SECONDS ?? 40);
const WARM_UP_SECONDS = 10;
const SERVICES = 50;
const REPLICAS = 20;
const CLOCK_TICKS = 100;

const agents = Array.from({ length: AGENTS }, (_, n) => `agent-${n}`);
const dir = mkdtempSync(join(tmpdir(), 'cw-centre-bench-'));
const centre = await CentreProcess.start(writeFiles(dir, SERVICES, REPLICAS, [...agents, 'x', 'y', 'z']));
const pool = new Pool(centre.url, { connections: 64, pipelining: 1 });
/** Those whose verdict is timed do not wait behind this program's own queue. */
const ownPool = new Pool(centre.url, { connections: 2 });
let sequence = Date.now() * 1000;
const statuses = new Map<number, number>();
const latencies: number[] = [];

async function sync(
  agent: string,
  services: readonly number[],
  listed: readonly [number, number][],
  through = pool,
): Promise<SyncAnswer> {
  const hosts = services.flatMap((service) =>
    Array.from({ length: 3 }, (_, n) => ({
      service: `s${service}`,
      host: addressOf(service, n),
      requests: 200,
      errors: 2,
      listed: false,
    })),
  );
  for (const [service, n] of listed) {
    hosts.push({ service: `s${service}`, host: addressOf(service, n), requests: 200, errors: 150, listed: true });
  }
  const began = performance.now();
  const { statusCode, body } = await through.request({
    method: 'POST',
    path: '/v1/sync',
    headers: { authorization: `Bearer ${tokenOf(agent)}` },
    body: JSON.stringify({ sequence: ++sequence, since: 0, services: services.map((one) => `s${one}`), hosts }),
  });
  const answer = (await body.json()) as SyncAnswer;
  latencies.push(performance.now() - began);
  statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
  return answer;
}

/** Seconds of CPU that the centre has used. */
function cpu(): number {
  const fields = readFileSync(`/proc/${centre.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

function memory(field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${centre.pid}/status`, 'utf8');
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024);
}

const begun = performance.now();
const seconds = () => (performance.now() - begun) / 1000;
const pending = new Set<Promise<unknown>>();
let sent = 0;

function come(n: number): void {
  // Each knows two services; the busy ones keep away from a host by themselves, one caller's opinion each.
  const services = [n % (SERVICES - 1), (n * 7) % (SERVICES - 1)];
  const listed: [number, number][] = n < BUSY ? [[services[0] ?? 0, 3 + (n % (REPLICAS - 3))]] : [];
  const one = sync(agents[n] ?? '', [...new Set(services)], listed).catch(() =>
    statuses.set(0, (statuses.get(0) ?? 0) + 1),
  );
  pending.add(one);
  void one.finally(() => pending.delete(one));
  sent++;
}

/** Open loop: each agent at its own moment of its period. */
class Round {
  private turn = 0;
  private readonly first: number;
  private readonly count: number;
  private readonly periodMs: number;

  constructor(first: number, count: number, periodMs: number) {
    this.first = first;
    this.count = count;
    this.periodMs = periodMs;
  }

  advance(ms: number): void {
    const due = Math.floor((ms * this.count) / this.periodMs);
    for (; this.turn < due; this.turn++) come(this.first + (this.turn % this.count));
  }
}

const rounds = [new Round(0, BUSY, BUSY_MS), new Round(BUSY, AGENTS - BUSY, QUIET_MS)];
const timer = setInterval(() => {
  for (const round of rounds) round.advance(seconds() * 1000);
}, 10);

while (seconds() < WARM_UP_SECONDS) await new Promise((resolve) => setTimeout(resolve, 100));
const [cpuBefore, sentBefore, from] = [cpu(), sent, seconds()];
latencies.length = 0;

/** Two agents agree on a host of the last service, which nobody else uses; a third asks until it hears of it. */
const verdicts: number[] = [];
for (let n = 0; n < 5 && seconds() < SECONDS; n++) {
  const service = SERVICES - 1;
  await sync('x', [service], [[service, 4 + n]], ownPool);
  await sync('y', [service], [[service, 4 + n]], ownPool);
  const told = performance.now();
  let heard = false;
  while (!heard && performance.now() - told < 10_000) {
    const { verdicts: known } = await sync('z', [service], [], ownPool);
    heard = known.some(({ host }) => host === addressOf(service, 4 + n));
    await new Promise((resolve) => setTimeout(resolve, 120));
  }
  verdicts.push(performance.now() - told);
}
while (seconds() < SECONDS) await new Promise((resolve) => setTimeout(resolve, 100));
const used = (cpu() - cpuBefore) / (seconds() - from);
const rate = (sent - sentBefore) / (seconds() - from);
clearInterval(timer);
await Promise.all(pending);
latencies.sort((a, b) => a - b);
const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
process.stdout.write(
  `${[
    `agents ${AGENTS}, of them ${BUSY} every ${BUSY_MS / 1000} s, the others every ${QUIET_MS / 1000} s: ${rate.toFixed(0)} reports/s`,
    `CPU ${(used * 100).toFixed(0)} % of one core; memory ${memory('VmRSS')} MiB, at most ${memory('VmHWM')} MiB`,
    `report to verdict at an agent that asks every 120 ms: ${verdicts.map((ms) => `${ms.toFixed(0)} ms`).join(', ')}`,
    `answer p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; statuses ${[...statuses].map(([status, count]) => `${status}: ${count}`).join(', ')}`,
  ].join('\n')}\n`,
);
await Promise.all([pool.destroy(), ownPool.destroy()]);
await centre.stop();
rmSync(dir, { recursive: true, force: true });
