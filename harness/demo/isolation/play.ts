import { controlAddress } from '../../../envoy-configs/isolation.ts';
import { findInstance } from '../../../envoy-configs/mesh.ts';
import { type DriveAnswer, driveOpen } from '../../drive/drive.ts';
import { realClock } from '../../process/wait.ts';
import { wholeTree } from '../scenes/judges.ts';
import { hopOf, type Stage } from '../stage.ts';

const RATE = 30;
const SERVICE = 'reviews';
const ONE = 'reviews-base-1';
const OTHER = 'reviews-base-2';
/** Of traffic, after each command. */
const SPAN_MS = 2_000;

interface Step {
  readonly title: string;
  /** Words of the command, or what is done instead. */
  readonly command: readonly string[] | ((stage: Stage) => Promise<void>);
  /** In place of the command, for people. */
  readonly shown?: string;
  /** It is to fail, saying this. */
  readonly refused?: RegExp;
  /** Whether instance 1 has calls afterwards. */
  readonly serves: boolean;
}

const STEPS: readonly Step[] = [
  { title: 'All instances serve', shown: 'traffic runs', command: async () => {}, serves: true },
  { title: `${ONE} is isolated, and goes on running`, command: ['isolate', ONE], serves: false },
  {
    title: 'It is still there for its debugger, on loopback alone',
    shown: `curl http://<loopback of ${ONE}>:15015/health`,
    command: async (stage) => {
      const instance = findInstance(stage.mesh, ONE);
      if (!instance) throw new Error(`no instance ${ONE}`);
      const answer = await fetch(`http://${controlAddress(instance)}:${instance.ports.control}/health`);
      if (answer.status !== 200) throw new Error(`its application answered ${answer.status}`);
    },
    serves: false,
  },
  {
    title: 'Its Envoy is killed and comes back: isolated as before',
    shown: `kill -9 <Envoy of ${ONE}>`,
    command: async (stage) => {
      await stage.driver.kill(ONE, 'sidecar');
      await stage.driver.revive(ONE);
    },
    serves: false,
  },
  {
    title: 'The last instance of its lane cannot be isolated as well',
    command: ['isolate', OTHER],
    refused: /last usable instance/,
    serves: false,
  },
  { title: `${ONE} is released`, command: ['release', ONE], serves: true },
  {
    title: 'Only the requests of one user are kept out of it',
    command: ['isolate', ONE, '--header', 'end-user=mallory'],
    serves: true,
  },
  { title: 'And released again', command: ['release', ONE], serves: true },
];

export interface Told {
  title: string;
  holds: boolean;
  /** Calls to the service in the span after the command, by instance. */
  calls: Record<string, number>;
}

/** Plays every step under load. `twice`: POSTs that some application of the service began twice. */
export async function playIsolation(stage: Stage, signal: AbortSignal, say: (line: string) => void) {
  const stop = new AbortController();
  let calls = new Map<string, number>();
  const traffic = driveOpen({
    target: stage.url,
    rate: RATE,
    durationMs: 180_000,
    signal: stop.signal,
    next: (n) => ({
      method: n % 10 < 3 ? 'POST' : 'GET',
      path: '/api/v1/products/0/reviews',
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(n % 10 < 3 ? { body: JSON.stringify({ post: `demo-${n}` }) } : {}),
      kind: n % 10 < 3 ? 'POST' : 'GET',
    }),
    judge: (answer) => {
      const instance = servedBy(answer);
      calls.set(instance, (calls.get(instance) ?? 0) + 1);
      return wholeTree(answer);
    },
  });
  say(`\n${RATE} requests a second, 30 % of them POSTs, run through the mesh while the commands below are given.\n`);
  const steps: Told[] = [];
  try {
    for (const step of STEPS) {
      signal.throwIfAborted();
      say(`$ ${step.shown ?? `causeway ${(step.command as readonly string[]).join(' ')}`}`);
      const done = await perform(stage, step);
      // What was under way when the command answered was sent before.
      await realClock.sleep(300);
      calls = new Map();
      await realClock.sleep(SPAN_MS);
      const seen = Object.fromEntries([...calls].sort());
      const holds = done && (seen[ONE] ?? 0) > 0 === step.serves && (seen[OTHER] ?? 0) > 0;
      steps.push({ title: step.title, holds, calls: seen });
      say(`   ${holds ? '✓' : '✗'} ${step.title}`);
      say(
        `     calls to ${SERVICE}: ${Object.entries(seen)
          .map(([id, count]) => `${id} ${count}`)
          .join(', ')}`,
      );
    }
  } finally {
    stop.abort();
  }
  const { sent, failed, failures, kinds } = await traffic;
  return { steps, sent, posts: kinds.POST?.sent ?? 0, failed, failures, twice: await ranTwice(stage) };
}

/** True when the command did what the step says: its work, or to be refused. */
async function perform(stage: Stage, step: Step): Promise<boolean> {
  try {
    if (typeof step.command === 'function') await step.command(stage);
    else await stage.command(...step.command);
    return step.refused === undefined;
  } catch (error) {
    if (step.refused?.test((error as Error).message)) return true;
    throw error;
  }
}

function servedBy(answer: DriveAnswer): string {
  return hopOf(answer.body)?.calls.find(({ service }) => service === SERVICE)?.hop?.instance ?? 'nobody';
}

async function ranTwice(stage: Stage): Promise<string[]> {
  const begun = new Map<string, number>();
  for (const { name, instances } of stage.mesh.services) {
    for (const { id } of instances) {
      for (const { event, post } of await stage.driver.journal(id)) {
        if (event === 'begin') begun.set(`${name} ${post}`, (begun.get(`${name} ${post}`) ?? 0) + 1);
      }
    }
  }
  return [...begun].filter(([, times]) => times > 1).map(([post]) => post);
}
