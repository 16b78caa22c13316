import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Backends } from '../bench/fallback-retry/backends.ts';
import { call, envoy } from '../bench/fallback-retry/rig.ts';
import { BACK, type Caller, type CallerOptions, caller, Load, warm } from '../heal/rig.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const EXAMPLE = join(import.meta.dirname, '../../envoy-configs/examples/outlier-blacklist.yaml');

/** The filter on real Envoy, beside Envoy's own outlier detection where that does the same job. */

const RATE = 100;
const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  while (ends.length > 0) await ends.pop()?.();
});

async function start(options: CallerOptions): Promise<{ subject: Caller; backends: Backends }> {
  const subject = await caller(options);
  ends.push(() => subject.proxy.stop());
  const backends = await Backends.start(subject.callee.instances, 'http1');
  ends.push(() => backends.stop());
  await warm(subject);
  return { subject, backends };
}

function load(rate: number, send: ConstructorParameters<typeof Load>[1]): Load {
  const one = new Load(rate, send);
  ends.push(() => one.stop());
  return one;
}

async function listed(subject: Caller, count: number): Promise<void> {
  await waitUntil(
    `${count} hosts listed`,
    async () => {
      const value = await subject.metric('listed_total');
      return value >= count ? found(undefined) : notYet(`${value} listed`);
    },
    { deadlineMs: 20_000 },
  );
}

const WAIT = { deadlineMs: 20_000 };
const POST = { method: 'POST' };

/** Until the load has gone on for so long. */
async function goOn(load: Load, ms: number): Promise<void> {
  const until = load.now() + ms;
  await waitUntil(`${ms} ms more`, async () => (load.now() > until ? found(undefined) : notYet('')), WAIT);
}

describe('one bad host of three', () => {
  it.each([1, 2])(
    'is out within 2 s of its first bad answer, with %d workers (native outlier detection beside it)',
    async (workers) => {
      const { subject, backends } = await start({ name: 'bad', second: 91, lanes: { base: 3 }, workers });
      const own = load(RATE, () => subject.send(POST));
      const peer = load(RATE, () => subject.sendToPeer(POST));
      await goOn(own, 3_000);
      await backends.set('base-1', '503');
      await goOn(own, 5_000);
      await Promise.all([own.stop(), peer.stop()]);
      const errors = own.failuresAfter(0);
      const first = errors[0]?.at ?? 0;
      const last = Math.max(0, ...errors.map(({ at }) => at));
      const native = peer.failuresAfter(0);
      console.log(
        `${workers} workers: ${errors.length} failed over ${Math.round(last - first)} ms; native outlier_detection: ` +
          `${native.length} over ${Math.round(Math.max(0, ...native.map(({ at }) => at)) - (native[0]?.at ?? 0))} ms`,
      );
      expect(errors.length).toBeGreaterThan(0);
      expect(last - first).toBeLessThan(2_000);
      expect(await subject.metric('listed_total')).toBe(1);
      expect(await subject.metric('hosts_out')).toBe(1);
    },
  );

  it('is found by the hosts that answer, where the configuration names none', async () => {
    const { subject, backends } = await start({ name: 'seen', second: 92, lanes: { base: 3 }, unnamed: true });
    const own = load(RATE, () => subject.send(POST));
    await backends.set('base-0', '503');
    await listed(subject, 1);
    const since = own.now() + 500;
    await goOn(own, 2_500);
    expect(own.failuresAfter(since)).toEqual([]);
  });

  it('that fails half of its requests, in turns, is found', async () => {
    const { subject, backends } = await start({ name: 'grey', second: 93, lanes: { base: 3 } });
    load(2 * RATE, () => subject.send(POST));
    // In turns: half of them.
    let bad = false;
    const flip = setInterval(() => {
      bad = !bad;
      void backends.set('base-2', bad ? '503' : 'ok');
    }, 50);
    ends.push(async () => clearInterval(flip));
    await listed(subject, 1);
    expect(await subject.metric('listed_total.service.reviews.reason.errors')).toBe(1);
  });

  it('that is slow is found', async () => {
    const { subject, backends } = await start({ name: 'slow', second: 94, lanes: { base: 3 } });
    load(RATE, () => subject.send(POST));
    await backends.set('base-1', 'ok', 300);
    await listed(subject, 1);
    await waitUntil(
      'the list to work',
      async () => {
        const answers = await Promise.all(Array.from({ length: 12 }, () => subject.send(POST)));
        return answers.every(({ instance }) => instance !== 'base-1') ? found(undefined) : notYet('base-1 answered');
      },
      WAIT,
    );
    expect(await subject.metric('listed_total.service.reviews.reason.slow')).toBe(1);
  });
});

describe('a host whose failures a retry makes good', () => {
  it.each([
    ['is listed by its failed tries', true, 98],
    ['stays in use where nobody tells of them', false, 99],
  ])('%s', async (_what, tries, second) => {
    const { subject, backends } = await start({ name: `tries-${tries}`, second, lanes: { base: 3 }, tries });
    const asked = async () => (await backends.counts())['base-1']?.GET ?? 0;
    const own = load(RATE, () => subject.send());
    await backends.set('base-1', '503');
    if (tries) await listed(subject, 1);
    else await goOn(own, 3_000);
    await goOn(own, 500);
    const before = await asked();
    await goOn(own, 1_000);
    // A retry may meet the bad host again: some fail for the caller, too few to list it by.
    expect(own.failuresAfter(0).length).toBeLessThan(RATE / 10);
    expect(await subject.metric('listed_total.service.reviews.reason.errors')).toBe(tries ? 1 : 0);
    const more = (await asked()) - before;
    if (tries) expect(more).toBe(0);
    else expect(more).toBeGreaterThan(RATE / 10);
  });
});

describe('the way back', () => {
  it('is by a probe, which a host that is still sick fails, and then by steps', async () => {
    const { subject, backends } = await start({ name: 'back', second: 95, lanes: { base: 3 }, law: BACK });
    load(RATE, () => subject.send(POST));
    await backends.set('base-1', '503');
    await listed(subject, 1);
    await backends.set('base-1', 'sick');
    // The second listing is the probe's.
    await waitUntil(
      'a failed probe',
      async () => {
        const failed = await subject.metric('listed_total.service.reviews.reason.probe');
        return failed >= 1 ? found(undefined) : notYet('no probe failed');
      },
      WAIT,
    );
    const before = (await backends.counts())['base-1']?.POST ?? 0;
    await backends.set('base-1', 'ok');
    await waitUntil(
      'its return',
      async () => ((await subject.metric('returned_total')) === 1 ? found(undefined) : notYet('not yet back')),
      { deadlineMs: 30_000 },
    );
    expect((await backends.counts())['base-1']?.POST ?? 0).toBeGreaterThan(before);
    await waitUntil(
      'all of them again',
      async () => ((await subject.metric('hosts_out')) === 0 ? found(undefined) : notYet('some out')),
      WAIT,
    );
  });
});

describe('lanes', () => {
  it('are judged each for itself, and a request of an absent lane avoids the bad host of the baseline', async () => {
    const { subject, backends } = await start({ name: 'lanes', second: 96, lanes: { base: 3, dev1: 1 } });
    const base = load(RATE, () => subject.send(POST));
    await backends.set('base-1', '503');
    await listed(subject, 1);
    await goOn(base, 500);
    const answers = async (lane: string) =>
      Promise.all(Array.from({ length: 12 }, () => subject.send({ ...POST, headers: { 'x-asm-traffic-lane': lane } })));
    expect(new Set((await answers('dev1')).map(({ instance }) => instance))).toEqual(new Set(['dev1-0']));
    const absent = await answers('dev9');
    expect(new Set(absent.map(({ instance }) => instance))).toEqual(new Set(['base-0', 'base-2']));
    // The lane's only host stays, however bad.
    await backends.set('dev1-0', '503');
    for (let i = 0; i < 10; i++) await answers('dev1');
    expect(await subject.metric('listed_total')).toBe(1);
  });
});

describe('a hash-balanced service', () => {
  it('gives away the keys of the listed host alone: at most 15 % of them move with 1 of 10', async () => {
    const lb = { policy: 'ring_hash', hashHeader: 'x-user' } as const;
    const { subject, backends } = await start({ name: 'hash', second: 97, lanes: { base: 10 }, lb });
    const KEYS = 500;
    const placed = async () => {
      const hosts: string[] = [];
      for (let i = 0; i < KEYS; i++) hosts.push((await subject.send({ headers: { 'x-user': `user-${i}` } })).instance);
      return hosts;
    };
    const before = await placed();
    expect(await placed(), 'keys stay').toEqual(before);
    let user = 0;
    const all = load(300, () => subject.send({ ...POST, headers: { 'x-user': `load-${user++}` } }));
    await backends.set('base-4', '503');
    await listed(subject, 1);
    await goOn(all, 500);
    await all.stop();
    const after = await placed();
    const moved = before.filter((host, i) => host !== after[i]).length;
    console.log(`${moved} of ${KEYS} keys moved with 1 of 10 hosts listed`);
    expect(after).not.toContain('base-4');
    expect(moved).toBeLessThanOrEqual(KEYS * 0.15);
    expect(before.every((host, i) => host === 'base-4' || host === after[i])).toBe(true);
  });
});

describe('the example', () => {
  it('does what it says, on its own ports', async () => {
    const text = (await readFile(EXAMPLE, 'utf8')).replace(
      'build/causeway.wasm',
      await compilePlugin('filters/suite.ts'),
    );
    const { static_resources } = parse(text, { merge: true }) as { static_resources: Parameters<typeof envoy>[1] };
    const proxy = await envoy('example', static_resources);
    ends.push(() => proxy.stop());
    const own = load(RATE, () => call('127.0.0.1', 15090, { host: 'localhost:15090' }));
    await goOn(own, 4_000);
    await own.stop();
    expect(own.failuresAfter(0).length).toBeGreaterThan(0);
    expect(own.failuresAfter(2_500)).toEqual([]);
  });
});
