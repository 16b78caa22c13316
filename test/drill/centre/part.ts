import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { addressOf, CentreProcess, writeFiles } from '../../centre/process.ts';
import { scaled } from '../../support/scale.ts';
import { type Part, Sheet } from '../part.ts';
import { Agents, type Host, Round } from './agents.ts';

const AGENTS = 10_000;
/** A tenth of the agents has something listed and comes every two seconds; the others come when the centre says. */
const BUSY = AGENTS / 10;
const BUSY_MS = 2_000;
const QUIET_MS = 8_000;
const SECONDS = Math.max(25, scaled(60));
const WARM_UP_SECONDS = 10;
const SERVICES = 50;
const REPLICAS = 20;
const VERDICTS = 5;
const VERDICT_MS = 10_000;
const ASKS_EVERY_MS = 120;
const CLOCK_TICKS = 100;

/** One centre under so many agents: what a person asks who plans a machine for it. Nothing of stock Envoy does this. */
export const centre: Part = {
  name: 'centre',
  peer: 'stock Envoy',
  async run(said) {
    const sheet = new Sheet('stock Envoy', said);
    const agents = Array.from({ length: AGENTS }, (_, n) => `agent-${n}`);
    const dir = mkdtempSync(join(tmpdir(), 'cw-centre-drill-'));
    const process = await CentreProcess.start(writeFiles(dir, SERVICES, REPLICAS, [...agents, 'x', 'y', 'z']));
    const crowd = new Agents(process, 64);
    // Those whose verdict is timed do not wait behind the crowd's own queue.
    const timed = new Agents(process, 2);
    const rounds = [new Round(0, BUSY, BUSY_MS), new Round(BUSY, AGENTS - BUSY, QUIET_MS)];
    const begun = performance.now();
    const timer = setInterval(() => {
      for (const round of rounds) round.advance(performance.now() - begun, (n) => come(crowd, n));
    }, 10);
    try {
      await delay(WARM_UP_SECONDS * 1000);
      const [from, cpuBefore, sentBefore] = [performance.now(), cpuSeconds(process.pid), crowd.sent];
      crowd.latencies.length = 0;
      const verdicts: number[] = [];
      for (let n = 0; n < VERDICTS; n++) verdicts.push(await verdictAfter(timed, [SERVICES - 1, 4 + n]));
      await delay(Math.max(0, SECONDS * 1000 - (performance.now() - begun)));
      const seconds = (performance.now() - from) / 1000;
      const drill = `${AGENTS} agents, a tenth with something listed`;
      sheet.add(drill, 'reports', 'reports/s', (crowd.sent - sentBefore) / seconds);
      sheet.add(drill, 'CPU', '% of a core', (100 * (cpuSeconds(process.pid) - cpuBefore)) / seconds);
      sheet.add(drill, 'memory', 'MiB', peakMemory(process.pid));
      sheet.add(drill, 'report to verdict, the slowest', 'ms', Math.max(...verdicts));
      const sorted = crowd.latencies.toSorted((a, b) => a - b);
      sheet.add(drill, 'answered after, p99', 'ms', sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN);
      const others = [...crowd.statuses].filter(([status]) => status !== 200);
      sheet.add(
        drill,
        'answers but 200',
        'answers',
        others.reduce((sum, [, count]) => sum + count, 0),
      );
    } finally {
      clearInterval(timer);
      await Promise.all([crowd.close(), timed.close()]);
      await process.stop();
      rmSync(dir, { recursive: true, force: true });
    }
    return sheet;
  },
};

/** Each knows two services; the busy ones keep away from a host by themselves, one caller's opinion each. */
function come(crowd: Agents, n: number): void {
  const services = [...new Set([n % (SERVICES - 1), (n * 7) % (SERVICES - 1)])];
  const listed: Host[] = n < BUSY ? [[services[0] ?? 0, 3 + (n % (REPLICAS - 3))]] : [];
  crowd.begin(`agent-${n}`, services, listed);
}

/** Two agents agree on a host of a service that nobody else uses; a third asks until it hears of it. Milliseconds. */
async function verdictAfter(agents: Agents, host: Host): Promise<number> {
  const [service, instance] = host;
  await agents.sync('x', [service], [host]);
  await agents.sync('y', [service], [host]);
  const told = performance.now();
  while (performance.now() - told < VERDICT_MS) {
    const { verdicts } = await agents.sync('z', [service], []);
    if (verdicts.some((one) => one.host === addressOf(service, instance))) return performance.now() - told;
    await delay(ASKS_EVERY_MS);
  }
  return Number.POSITIVE_INFINITY;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

function peakMemory(pid: number): number {
  return Math.round(
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024,
  );
}
