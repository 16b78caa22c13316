import type { Load, Sent } from '../../../harness/heal/load.ts';
import { type Behaviour, CALLERS, type CallerName, type HealStage, PEER } from '../../../harness/heal/stage.ts';
import { found, notYet, waitUntil } from '../../../harness/process/wait.ts';
import type { Sheet } from '../part.ts';
import { LyingCentre } from './lying-centre.ts';

/** What is done to one mesh, and what is measured. */
export interface Case {
  readonly title: string;
  /** Whether the mesh's own centre runs. */
  readonly centre: boolean;
  play(stage: HealStage, title: string, sheet: Sheet): Promise<void>;
}

const RATE = 100;
const BAD = 'target-base-2';
const WARM_UP_MS = 2_000;
/** What happens so long after the beginning counts as the new state. */
const SETTLED_MS = 3_000;
const WATCHED_MS = 10_000;

interface Pair {
  readonly own: Load;
  readonly peer: Load;
  /** When the trouble began, of each. */
  readonly from: readonly [number, number];
}

/** The first caller calls the service by both names, and then something happens. */
async function trouble(stage: HealStage, begin: () => Promise<void>, ms = WATCHED_MS): Promise<Pair> {
  const [first] = CALLERS;
  const own = stage.load(first, RATE);
  const peer = stage.load(first, RATE, PEER);
  try {
    await own.goOn(WARM_UP_MS);
    const from = [own.now(), peer.now()] as const;
    await begin();
    await own.goOn(ms);
    return { own, peer, from };
  } finally {
    await Promise.all([own.stop(), peer.stop()]);
  }
}

const share = (part: readonly unknown[], all: readonly unknown[]) => (100 * part.length) / Math.max(1, all.length);

/** From the first failure to the last, ms. */
function span(failed: readonly Sent[]): number {
  const times = failed.map(({ at }) => at);
  return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
}

/** Share of what was sent after the new state began that fits, in percent: of ours and of the peer's. */
function settled(pair: Pair, fits: (sent: Sent) => boolean): [number, number] {
  const of = (load: Load, from: number) => {
    const late = load.between(from + SETTLED_MS);
    return share(late.filter(fits), late);
  };
  return [of(pair.own, pair.from[0]), of(pair.peer, pair.from[1])];
}

const failedOnes = ({ status }: Sent) => status !== 200;

function badHost(title: string, behaviour: Behaviour, fits: (sent: Sent) => boolean, figure: string): Case {
  return {
    title,
    centre: true,
    async play(stage, name, sheet) {
      const pair = await trouble(stage, () => stage.behave(BAD, behaviour));
      sheet.add(name, figure, '%', ...settled(pair, fits));
    },
  };
}

const outright: Case = {
  title: '1 bad of 3',
  centre: true,
  async play(stage, title, sheet) {
    const pair = await trouble(stage, () => stage.behave(BAD));
    sheet.add(title, 'first to last failure', 'ms', span(pair.own.failed(0)), span(pair.peer.failed(0)));
    sheet.add(title, 'failed from 3 s on', '%', ...settled(pair, failedOnes));
  },
};

/** Bad for two seconds, well for two, again and again. */
const flapping: Case = {
  title: '1 flapping of 3',
  centre: true,
  async play(stage, title, sheet) {
    let bad = true;
    const flip = setInterval(() => {
      bad = !bad;
      void stage.behave(BAD, { share: bad ? 1 : 0 });
    }, 2_000);
    const pair = await trouble(stage, () => stage.behave(BAD), 24_000).finally(() => clearInterval(flip));
    sheet.add(title, 'failed from 3 s on', '%', ...settled(pair, failedOnes));
    sheet.add(title, 'times listed', 'times', await listed(stage, CALLERS[0]));
  },
};

const allBad: Case = {
  title: '3 bad of 3',
  centre: true,
  async play(stage, title, sheet) {
    const ids = stage.instances.map(({ id }) => id);
    const pair = await trouble(stage, async () => {
      await Promise.all(ids.map((id) => stage.behave(id)));
    });
    // An application's own 503 names its instance; a proxy that has nobody left names none.
    sheet.add(title, 'still reaches a host', '%', ...settled(pair, ({ instance }) => instance !== ''));
  },
};

const partition: Case = {
  title: 'one caller has a bad path to 1 of 3',
  centre: true,
  async play(stage, title, sheet) {
    const others = CALLERS.slice(1).map((caller) => stage.load(caller, RATE));
    try {
      const pair = await trouble(stage, () => stage.behave(BAD, { to: CALLERS[0] }), 14_000);
      sheet.add(title, 'failed from 3 s on', '%', ...settled(pair, failedOnes));
    } finally {
      await Promise.all(others.map((load) => load.stop()));
    }
    const held = await Promise.all(CALLERS.map((caller) => listed(stage, caller, 'centre')));
    sheet.add(title, 'taken out for others', 'verdicts', sum(held));
    const failed = others.flatMap((load) => load.failed(0));
    sheet.add(title, 'failed at the others', 'requests', failed.length);
  },
};

const centreTells: Case = {
  title: '1 bad of 3, a caller that never met it',
  centre: true,
  async play(stage, title, sheet) {
    const [first, second, third] = CALLERS;
    const quiet = stage.load(third, RATE);
    await quiet.goOn(WARM_UP_MS);
    await quiet.stop();
    const loads = [first, second].map((caller) => stage.load(caller, RATE));
    try {
      await quiet.goOn(WARM_UP_MS);
      const began = performance.now();
      await stage.behave(BAD);
      await until(stage, third, 'centre');
      sheet.add(title, 'out by the centre after', 'ms', performance.now() - began);
    } finally {
      await Promise.all(loads.map((load) => load.stop()));
    }
    const after = stage.load(third, RATE);
    await after.goOn(3_000);
    await after.stop();
    sheet.add(title, 'failed at that caller', 'requests', after.failed(0).length);
  },
};

const centreDown: Case = {
  title: '1 bad of 3, the centre is down',
  centre: false,
  async play(stage, title, sheet) {
    const pair = await trouble(stage, () => stage.behave(BAD));
    sheet.add(title, 'first to last failure', 'ms', span(pair.own.failed(0)), span(pair.peer.failed(0)));
  },
};

const centreLies: Case = {
  title: 'the centre wants all 3 out',
  centre: false,
  async play(stage, title, sheet) {
    const { address, port } = stage.centre;
    const hosts = stage.instances.map((one) => `${one.address}:${one.ports.inbound}`);
    const centre = await LyingCentre.start(address, port, hosts);
    try {
      await until(stage, CALLERS[0], 'centre', 40_000);
      const load = stage.load(CALLERS[0], RATE);
      await load.goOn(5_000);
      await load.stop();
      sheet.add(title, 'failed', 'requests', load.failed(0).length);
      sheet.add(title, 'hosts that serve', 'hosts', new Set(load.sent.map(({ instance }) => instance)).size);
    } finally {
      await centre.stop();
    }
    const began = performance.now();
    await waitUntil(
      'the end of the lie',
      async () => {
        const out = await stage.sum(CALLERS[0], /^outlier_blacklist_hosts_out/);
        return out === 0 ? found(undefined) : notYet(`${out} out`);
      },
      { deadlineMs: 90_000 },
    );
    sheet.add(title, 'over, once it is gone, after', 'ms', performance.now() - began);
  },
};

function listed(stage: HealStage, caller: CallerName, reason = '[a-z]+'): Promise<number> {
  return stage.sum(caller, new RegExp(`^outlier_blacklist_listed_total\\..*\\.reason\\.${reason}$`));
}

async function until(stage: HealStage, caller: CallerName, reason: string, deadlineMs = 30_000): Promise<void> {
  await waitUntil(
    `${caller}: a host listed (${reason})`,
    async () => ((await listed(stage, caller, reason)) > 0 ? found(undefined) : notYet('none')),
    { deadlineMs },
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

export const CASES: readonly Case[] = [
  outright,
  badHost('1 grey of 3 (30 % fail)', { share: 0.3 }, failedOnes, 'failed from 3 s on'),
  badHost('1 slow of 3 (+300 ms)', { share: 0, delayMs: 300 }, ({ tookMs }) => tookMs > 250, 'slow from 3 s on'),
  flapping,
  allBad,
  partition,
  centreTells,
  centreDown,
  centreLies,
];
