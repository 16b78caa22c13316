import { controlAddress } from '../../../envoy-configs/isolation.ts';
import { findInstance, type Instance } from '../../../envoy-configs/mesh.ts';
import { type DriveAnswer, driveOpen } from '../../drive/drive.ts';
import { realClock } from '../../process/wait.ts';
import { wholeTree } from '../scenes/judges.ts';
import { hopOf, type Stage } from '../stage.ts';

const RATE = 30;
const SERVICE = 'reviews';
const ONE = 'reviews-base-1';
const OTHER = 'reviews-base-2';
/** The user of every fifth request. */
const USER = 'mallory';
const EVERY = 5;
/** Of traffic, after each command. */
const SPAN_MS = 2_000;

interface Step {
  readonly title: string;
  /** Words of the command, or what is done instead; that answers what a person would have typed. */
  readonly command: readonly string[] | ((stage: Stage) => Promise<string>);
  /** It is to fail, saying this. */
  readonly refused?: RegExp;
  /** Whether instance 1 has calls afterwards. */
  readonly serves: boolean;
  /** Whether it has those of the one user. Default: as `serves`. */
  readonly servesUser?: boolean;
}

const STEPS: readonly Step[] = [
  { title: 'All instances serve', command: async () => '# nothing is isolated', serves: true },
  { title: `${ONE} is isolated, and goes on running`, command: ['isolate', ONE], serves: false },
  {
    title: 'It is still there for its debugger, on loopback alone',
    command: async (stage) => {
      const instance = instanceOf(stage);
      const url = `http://${controlAddress(instance)}:${instance.ports.control}/health`;
      const answer = await fetch(url);
      if (answer.status !== 200) throw new Error(`its application answered ${answer.status}`);
      return `curl ${url}`;
    },
    serves: false,
  },
  {
    title: 'Its Envoy is killed and comes back: isolated as before',
    command: async (stage) => {
      const { sidecar } = (await stage.driver.status()).find(({ id }) => id === ONE) ?? {};
      await stage.driver.kill(ONE, 'sidecar');
      await stage.driver.revive(ONE);
      return `kill -9 ${sidecar?.pid}    # and its supervisor starts it again`;
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
    command: ['isolate', ONE, '--header', `end-user=${USER}`],
    serves: true,
    servesUser: false,
  },
  { title: 'And released again', command: ['release', ONE], serves: true },
];

export interface Told {
  title: string;
  holds: boolean;
  /** Calls to the service in the span after the command, by instance. */
  calls: Record<string, number>;
  /** Of these, the ones of the one user. */
  userCalls: Record<string, number>;
}

/** Plays every step under load. `twice`: POSTs that some application of the service began twice. */
export async function playIsolation(stage: Stage, signal: AbortSignal, say: (line: string) => void) {
  const stop = new AbortController();
  // Journals outlive a run.
  const run = `demo-${Date.now()}`;
  let [calls, userCalls] = [new Map<string, number>(), new Map<string, number>()];
  const traffic = driveOpen({
    target: stage.url,
    rate: RATE,
    durationMs: 180_000,
    signal: stop.signal,
    next: (n) => ({
      method: n % 10 < 3 ? 'POST' : 'GET',
      path: '/api/v1/products/0/reviews',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        // Signed in: productpage names the user to the services behind it.
        ...(n % EVERY === 0 ? { cookie: `user=${USER}` } : {}),
      },
      ...(n % 10 < 3 ? { body: JSON.stringify({ post: `${run}-${n}` }) } : {}),
      kind: n % 10 < 3 ? 'POST' : 'GET',
    }),
    judge: (answer, request) => {
      const instance = servedBy(answer);
      calls.set(instance, (calls.get(instance) ?? 0) + 1);
      if (request.headers.cookie !== undefined) userCalls.set(instance, (userCalls.get(instance) ?? 0) + 1);
      return wholeTree(answer);
    },
  });
  say(
    `\n${RATE} requests a second, 30 % of them POSTs, a fifth of ${USER}, run through the mesh while the commands below are given.\n\n`,
  );
  const steps: Told[] = [];
  try {
    for (const step of STEPS) {
      signal.throwIfAborted();
      const { done, shown, refusal } = await perform(stage, step);
      say(`$ ${shown}`);
      if (refusal !== undefined) say(`     ${refusal}`);
      // What was under way when the command answered was sent before.
      await realClock.sleep(300);
      [calls, userCalls] = [new Map(), new Map()];
      await realClock.sleep(SPAN_MS);
      const told = {
        calls: Object.fromEntries([...calls].sort()),
        userCalls: Object.fromEntries([...userCalls].sort()),
      };
      const holds =
        done &&
        (told.calls[ONE] ?? 0) > 0 === step.serves &&
        (told.userCalls[ONE] ?? 0) > 0 === (step.servesUser ?? step.serves) &&
        (told.calls[OTHER] ?? 0) > 0;
      steps.push({ title: step.title, holds, ...told });
      say(`   ${holds ? '✓' : '✗'} ${step.title}`);
      say(`     calls to ${SERVICE}: ${byInstance(told.calls)}; of them ${USER}’s: ${byInstance(told.userCalls)}\n`);
    }
  } finally {
    stop.abort();
  }
  const { sent, failed, failures, kinds } = await traffic;
  return { steps, sent, posts: kinds.POST?.sent ?? 0, failed, failures, twice: await ranTwice(stage, run) };
}

interface Performed {
  /** The command did what the step says: its work, or to be refused. */
  done: boolean;
  /** What a person types. */
  shown: string;
  /** What the command said instead of doing it. */
  refusal?: string;
}

async function perform(stage: Stage, { command, refused }: Step): Promise<Performed> {
  if (typeof command === 'function') return { done: true, shown: await command(stage) };
  const shown = `causeway ${command.join(' ')}`;
  try {
    await stage.command(...command);
    return { done: refused === undefined, shown };
  } catch (error) {
    const { message } = error as Error;
    if (refused?.test(message)) return { done: true, shown, refusal: message.trim().replace(`${shown}: `, '') };
    throw error;
  }
}

function instanceOf({ mesh }: Stage): Instance {
  const instance = findInstance(mesh, ONE);
  if (!instance) throw new Error(`no instance ${ONE}`);
  return instance;
}

function byInstance(calls: Readonly<Record<string, number>>): string {
  return Object.entries(calls)
    .map(([id, count]) => `${id} ${count}`)
    .join(', ');
}

function servedBy(answer: DriveAnswer): string {
  return hopOf(answer.body)?.calls.find(({ service }) => service === SERVICE)?.hop?.instance ?? 'nobody';
}

async function ranTwice(stage: Stage, run: string): Promise<string[]> {
  const begun = new Map<string, number>();
  for (const { name, instances } of stage.mesh.services) {
    for (const { id } of instances) {
      for (const { event, post } of await stage.driver.journal(id)) {
        if (event !== 'begin' || !post.startsWith(`${run}-`)) continue;
        begun.set(`${name} ${post}`, (begun.get(`${name} ${post}`) ?? 0) + 1);
      }
    }
  }
  return [...begun].filter(([, times]) => times > 1).map(([post]) => post);
}
