import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { addressOf, CentreProcess, writeFiles } from '../../centre/process.ts';
import { scaled } from '../../support/scale.ts';
import { type Part, Sheet } from '../part.ts';
import { Agents, type Host, Round } from './agents.ts';
import { Questions } from './questions.ts';

const AGENTS = 10_000;
/** A tenth of the agents has something listed and comes every two seconds; the others come when the centre says. */
const BUSY = AGENTS / 10;
const BUSY_MS = 2_000;
const QUIET_MS = 8_000;
const SECONDS = Math.max(25, scaled(60));
const WARM_UP_SECONDS = 10;
const SERVICES = 50;
/** As many instances as a file may have; the centre keeps a question of each. The other agents are callers alone. */
const REPLICAS = 40;
/** Instances whose callers complain of them. */
const COMPLAINED_OF = 20;
const VERDICTS = 5;
const ORDERS = 5;
/** Time in which a question has reached the centre. */
const ASKED_MS = 500;
const VERDICT_MS = 10_000;
const ASKS_EVERY_MS = 120;
const CLOCK_TICKS = 100;

/** One centre under so many agents: what a person asks who plans a machine for it. Nothing of stock Envoy does this. */
export const centre: Part = {
  name: 'centre',
  peer: 'stock Envoy',
  async run(said) {
    const sheet = new Sheet('stock Envoy', said);
    const agents = Array.from({ length: AGENTS }, (_, n) => identityOf(n));
    const dir = mkdtempSync(join(tmpdir(), 'cw-centre-drill-'));
    const process = await CentreProcess.start(writeFiles(dir, SERVICES, REPLICAS, [...agents, 'x', 'y', 'z']));
    const crowd = new Agents(process, 64);
    // Those whose verdict is timed do not wait behind the crowd's own queue.
    const timed = new Agents(process, 2);
    const questions = new Questions(process);
    const rounds = [new Round(0, BUSY, BUSY_MS), new Round(BUSY, AGENTS - BUSY, QUIET_MS)];
    const begun = performance.now();
    const timer = setInterval(() => {
      for (const round of rounds) round.advance(performance.now() - begun, (n) => come(crowd, n));
    }, 10);
    // The last service has nobody who asks of himself: its agents are played below.
    const watching = agents.slice(0, SERVICES * REPLICAS).filter((agent) => !agent.startsWith(`s${SERVICES - 1}-`));
    for (const [n, agent] of watching.entries())
      questions.watch(agent, (n * WARM_UP_SECONDS * 1_000) / watching.length);
    try {
      await delay(WARM_UP_SECONDS * 1000);
      const [from, cpuBefore, sentBefore] = [performance.now(), cpuSeconds(process.pid), crowd.sent];
      crowd.latencies.length = 0;
      const verdicts: number[] = [];
      for (let n = 0; n < VERDICTS; n++) verdicts.push(await verdictAfter(timed, [SERVICES - 1, 4 + n]));
      const orders: number[] = [];
      for (let n = 0; n < ORDERS; n++)
        orders.push(await orderAfter(timed, questions, `s${SERVICES - 1}-base-${2 + n}`));
      await delay(Math.max(0, SECONDS * 1000 - (performance.now() - begun)));
      const seconds = (performance.now() - from) / 1000;
      const drill = `${AGENTS} agents, a tenth with something listed`;
      sheet.add(drill, 'reports', 'reports/s', (crowd.sent - sentBefore) / seconds);
      sheet.add(drill, 'CPU', '% of a core', (100 * (cpuSeconds(process.pid) - cpuBefore)) / seconds);
      sheet.add(drill, 'memory', 'MiB', peakMemory(process.pid));
      sheet.add(drill, 'questions kept', 'questions', watching.length);
      sheet.add(drill, 'report to verdict, the slowest', 'ms', Math.max(...verdicts));
      sheet.add(drill, 'order to agent, the slowest', 'ms', Math.max(...orders));
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
      await Promise.all([crowd.close(), timed.close(), questions.close()]);
      await process.stop();
      rmSync(dir, { recursive: true, force: true });
    }
    return sheet;
  },
};

/** Each knows two services; the busy ones keep away from a host by themselves, one caller's opinion each. */
function come(crowd: Agents, n: number): void {
  const services = [...new Set([n % (SERVICES - 1), (n * 7) % (SERVICES - 1)])];
  const listed: Host[] = n < BUSY ? [[services[0] ?? 0, 3 + (n % (COMPLAINED_OF - 3))]] : [];
  crowd.begin(identityOf(n), services, listed);
}

/** Of agent number `n`: the first ones are those of instances. */
function identityOf(n: number): string {
  return n < SERVICES * REPLICAS ? `s${n % SERVICES}-base-${1 + Math.floor(n / SERVICES)}` : `agent-${n}`;
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

/** From the answer to an operator's order until the agent, whose question waits, has heard of it. Milliseconds, 0 = before. */
async function orderAfter(agents: Agents, questions: Questions, instance: string): Promise<number> {
  const heard = questions.ask(instance).then(() => performance.now());
  await delay(ASKED_MS);
  await agents.order(instance);
  const told = performance.now();
  return Math.max(0, (await heard) - told);
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
