import { healthCheckBoundMs } from '../../../envoy-configs/clusters.ts';
import { type DriveReport, driveOpen } from '../../drive/drive.ts';
import { found, notYet, realClock, waitUntil } from '../../process/wait.ts';
import type { Recorder, Scene } from '../scene.ts';
import type { Stage } from '../stage.ts';
import { hopOf } from '../stage.ts';
import { wholeTree } from './judges.ts';

const VICTIM = 'reviews-dev2-1';
const PATH = '/api/v1/products/0/reviews';
/** Every tenth, three of ten: POST. */
const POST_OF_TEN = 3;

/** Requests a second and milliseconds of each outage at full size, and at any smaller. */
const FULL = { rate: 500, beforeMs: 2_000, downMs: 4_000 };
const SMALL = { rate: 50, beforeMs: 500, downMs: 2_000 };

interface Outage {
  name: string;
  /** Takes the victim out; the result brings it back. */
  begin(stage: Stage): Promise<() => Promise<unknown>>;
}

const KILL: Outage = {
  name: 'SIGKILL',
  begin: async (stage) => {
    await stage.driver.kill(VICTIM, 'app');
    return () => stage.driver.revive(VICTIM);
  },
};

const MACHINE: Outage = {
  name: 'SIGKILL with its sidecar',
  begin: async (stage) => {
    await stage.driver.kill(VICTIM);
    return () => stage.driver.revive(VICTIM);
  },
};

const STOP: Outage = {
  name: 'SIGSTOP',
  begin: async (stage) => {
    await stage.driver.pause(VICTIM, 'app');
    return () => stage.driver.resume(VICTIM, 'app');
  },
};

const REMOVAL: Outage = {
  name: 'removal from the endpoints',
  begin: async (stage) => {
    await stage.command('lane', 'remove-service', 'dev2', 'reviews');
    return () => stage.command('lane', 'add-service', 'dev2', 'reviews', '--version', 'v3');
  },
};

interface Failed {
  GET: number;
  POST: number;
}

interface Played {
  report: DriveReport;
  /** Requests that the baseline's reviews answered while the lane's were away. */
  fellBack: number;
  /** When the failed requests had begun, milliseconds after the outage was complete; below 0 = in flight then. */
  failedAfterMs: number[];
  /** POSTs that some service ran more than once. */
  twice: string[];
  /** POSTs that the victim's application had begun and could not end. */
  cutOff: number;
  /** Milliseconds from the start of bringing it back to the lane's first answer. */
  backAfterMs: number;
}

export const outage: Scene = {
  number: 6,
  title: 'The lane’s reviews go away',
  shows:
    'Killed, lost with their machine, frozen, and taken out of the endpoints, each under steady traffic with 30 % POST. The baseline serves meanwhile, no POST runs twice, and the lane’s instance serves again when it is back.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  heavy: true,
  // An application that is revived takes its whole namespace along there, its Envoy included.
  only: 'process',
  async play(stage, record) {
    for (const kind of [KILL, MACHINE, REMOVAL, STOP]) {
      const played = await play(stage, kind);
      const { report, fellBack, twice, cutOff, backAfterMs } = played;
      const failed: Failed = { GET: report.kinds.GET?.failed ?? 0, POST: report.kinds.POST?.failed ?? 0 };
      const say = (what: string) => `${kind.name}: ${what}`;
      record.figure(say('requests'), report.sent, 'requests');
      record.figure(say('GET failed'), failed.GET, 'requests');
      record.figure(say('POST failed'), failed.POST, 'requests');
      record.figure(say('POST cut off inside the application'), cutOff, 'requests');
      record.figure(say('lane back after'), backAfterMs, 'ms');
      record.check(say('the baseline served meanwhile'), fellBack > 0, `${fellBack} requests`);
      record.check(say('no POST ran twice'), twice.length === 0, twice.slice(0, 3));
      record.check(say('all were sent'), report.notSent === 0, `${report.notSent} not sent`);
      failures(record, stage, kind, played, failed);
    }
  },
};

/**
 * What may fail. A POST that was with the victim when it died can neither be answered nor sent again: nobody knows
 * whether the application has worked on it. Every other one must succeed. While a process is frozen nothing tells that
 * it is, until the health check's bound has passed.
 */
function failures(record: Recorder, stage: Stage, kind: Outage, played: Played, failed: Failed): void {
  const { report, failedAfterMs, cutOff } = played;
  const boundMs = healthCheckBound(stage);
  // Without composite clusters a failed try is repeated in its lane, until the check has spoken there, too.
  const untilChecked = kind === STOP || (kind !== REMOVAL && !stage.mesh.composite);
  const say = (what: string) => `${kind.name}: ${what}`;
  const later = (ms: number) => failedAfterMs.filter((began) => began > ms).length;
  const told = `${report.failed} failed: ${JSON.stringify(report.failures)}`;
  if (untilChecked) {
    record.check(say(`nothing that began later than ${boundMs} ms failed`), later(boundMs) === 0, told);
    return;
  }
  record.check(say('no GET failed'), failed.GET === 0, told);
  if (kind === REMOVAL) {
    record.check(say('no POST failed'), failed.POST === 0, told);
    return;
  }
  record.check(say('no POST failed but those in flight at the kill'), later(0) === 0, told);
  record.check(
    say('each POST that the application had begun is accounted for'),
    failed.POST >= cutOff,
    `${cutOff} begun, ${told}`,
  );
}

async function play(stage: Stage, kind: Outage): Promise<Played> {
  const { rate, beforeMs, downMs } = stage.scale === 1 ? FULL : SMALL;
  const run = `${kind.name.replaceAll(' ', '-')}-${Date.now()}`;
  const stop = new AbortController();
  const begun = new Map<number, number>();
  const failedAt: number[] = [];
  let fellBack = 0;
  let lost = Number.POSITIVE_INFINITY;
  let complete = 0;
  const headers = { accept: 'application/json', 'content-type': 'application/json', 'end-user': 'dev2' };
  const traffic = driveOpen({
    target: stage.url,
    rate,
    durationMs: 120_000,
    signal: stop.signal,
    next: (n) => {
      begun.set(n, performance.now());
      const base = { path: PATH, headers: { ...headers, 'x-order': String(n) } };
      if (n % 10 >= POST_OF_TEN) return { ...base, method: 'GET', kind: 'GET' };
      return { ...base, method: 'POST', kind: 'POST', body: JSON.stringify({ post: `${run}-${n}` }) };
    },
    judge: (answer, request) => {
      const verdict = wholeTree(answer);
      const began = begun.get(Number(request.headers['x-order'])) ?? 0;
      begun.delete(Number(request.headers['x-order']));
      if (verdict !== null) failedAt.push(began);
      else if (reviewsOf(answer.body) !== VICTIM && performance.now() > lost) fellBack++;
      return verdict;
    },
  });
  let backAfterMs = 0;
  try {
    await realClock.sleep(beforeMs);
    lost = performance.now();
    const bringBack = await kind.begin(stage);
    complete = performance.now();
    await realClock.sleep(downMs);
    const back = performance.now();
    await bringBack();
    await waitUntil(
      `${VICTIM} serves again`,
      async () => {
        const seen = reviewsOf((await stage.ask({ path: PATH, headers: { 'end-user': 'dev2' } })).text);
        return seen === VICTIM ? found(undefined) : notYet(`${seen} serves`);
      },
      { deadlineMs: 20_000 },
    );
    backAfterMs = performance.now() - back;
    await realClock.sleep(500);
  } finally {
    stop.abort();
  }
  const report = await traffic;
  const { twice, cutOff } = await posts(stage, run);
  return { report, fellBack, failedAfterMs: failedAt.map((at) => at - complete), twice, cutOff, backAfterMs };
}

function reviewsOf(body: string): string {
  return hopOf(body)?.calls.find((call) => call.service === 'reviews')?.hop?.instance ?? 'nobody';
}

/** What the applications' journals say about the POSTs of one run. */
async function posts(stage: Stage, run: string): Promise<{ twice: string[]; cutOff: number }> {
  const begun = new Map<string, number>();
  let cutOff = 0;
  for (const { name, instances } of stage.mesh.services) {
    for (const { id } of instances) {
      const open = new Set<string>();
      for (const { event, post } of await stage.driver.journal(id)) {
        if (!post.startsWith(run)) continue;
        if (event === 'end') open.delete(post);
        else {
          open.add(post);
          const key = `${name} ${post}`;
          begun.set(key, (begun.get(key) ?? 0) + 1);
        }
      }
      if (id === VICTIM) cutOff = open.size;
    }
  }
  return { twice: [...begun].filter(([, times]) => times > 1).map(([key]) => key), cutOff };
}

function healthCheckBound(stage: Stage): number {
  const reviews = stage.mesh.services.find(({ name }) => name === 'reviews');
  if (!reviews) throw new Error('no service reviews');
  return healthCheckBoundMs(reviews.healthCheck);
}
