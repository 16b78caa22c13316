/** Rate limits on real Envoys, rendered from the words of `causeway.yaml`, measured by the requests that get through. */
import { Client } from 'undici';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { startExample } from '../overload/example.ts';
import { OverloadStage, type StageOptions } from '../overload/stage.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scale } from '../support/scale.ts';

const INTERFACES = [
  { name: 'a', template: '/a' },
  { name: 'b', methods: ['GET'], template: '/b/{id}' },
];
/** Does more than anybody asks for here. */
const FAST = { SLOTS: '256', SERVICE_MS: '1' };
/** 100 requests per second. */
const SLOW = { SLOTS: '4', SERVICE_MS: '40' };
/** Enough that every worker has some of them. */
const CONNECTIONS = 32;
const TOLERANCE = 0.03;
/** Seconds of one measurement. */
const SECONDS = scale() === 1 ? 10 : 3;

let module: string;
let stage: OverloadStage | undefined;
let clients: Client[] = [];
let network = 40;

beforeAll(async () => {
  module = await compilePlugin('filters/suite.ts');
}, 240_000);

afterEach(async () => {
  await Promise.all(clients.map((client) => client.destroy()));
  clients = [];
  await stage?.stop();
  stage = undefined;
});

type Headers = Readonly<Record<string, string>>;

/** One kind of request. */
interface Kind {
  readonly path: string;
  readonly perSecond: number;
  readonly headers?: (n: number) => Headers;
}

interface Answer {
  readonly kind: number;
  /** Seconds after the load began. */
  readonly at: number;
  /** 0 = none. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

async function start(options: Partial<StageOptions>, base?: 'gateway'): Promise<OverloadStage> {
  const started = await OverloadStage.start({
    module,
    network: network++,
    app: FAST,
    overload: null,
    interfaces: INTERFACES,
    ...options,
  });
  stage = started;
  const url = base === 'gateway' ? started.gateway : started.inbound;
  clients = Array.from({ length: CONNECTIONS }, () => new Client(url, { headersTimeout: 4_000 }));
  await waitUntil(
    'the first answer',
    async () => {
      const { status } = await send(0, '/ready', {});
      return status === 200 ? found(undefined) : notYet(String(status));
    },
    { deadlineMs: 20_000 },
  );
  return started;
}

let turn = 0;

async function send(kind: number, path: string, headers: Headers, at = 0): Promise<Answer> {
  const client = clients[turn++ % clients.length];
  try {
    const answer = await client?.request({ method: 'GET', path, headers: { host: 'shop:9080', ...headers } });
    await answer?.body.dump();
    return { kind, at, status: answer?.statusCode ?? 0, headers: answer?.headers ?? {} };
  } catch {
    return { kind, at, status: 0, headers: {} };
  }
}

/** Open loop: all kinds at once for so long, whatever becomes of them. */
async function load(kinds: readonly Kind[], seconds: number): Promise<Answer[]> {
  const sent: Promise<Answer>[] = [];
  const counts = kinds.map(() => 0);
  const began = performance.now();
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - began) / 1000) {
    for (const [i, { path, perSecond, headers }] of kinds.entries()) {
      for (let n = counts[i] ?? 0; n < elapsed * perSecond; n++) {
        counts[i] = n + 1;
        sent.push(send(i, path, headers?.(n) ?? {}, elapsed));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return Promise.all(sent);
}

/** Requests per second of each kind that got through, without the first moments, in which buckets are still full. */
async function admitted(kinds: readonly Kind[], seconds: number): Promise<number[]> {
  const settle = 0.6;
  const answers = (await load(kinds, seconds + settle)).filter(({ at }) => at >= settle);
  expect([...new Set(answers.map(({ status }) => status))].sort()).toEqual([200, 429]);
  return kinds.map((_, i) => answers.filter(({ kind, status }) => kind === i && status === 200).length / seconds);
}

/**
 * A bucket holds a quarter of a second: where this machine stands still for longer, what it missed is lost, and it is
 * measured again. A limiter that is wrong is wrong each time.
 */
async function holds(kinds: readonly Kind[], limits: readonly number[], seconds = SECONDS): Promise<void> {
  let rates: number[] = [];
  for (let tries = 0; tries < 3; tries++) {
    rates = await admitted(kinds, seconds);
    if (rates.every((rate, i) => Math.abs(rate / (limits[i] ?? 0) - 1) <= TOLERANCE)) return;
  }
  expect(rates).toEqual(limits);
}

/** A counter or gauge of the filter in the sidecar by the end of its name, as soon as it is what it should be. */
async function metric(name: string, is: (value: number) => boolean): Promise<void> {
  await waitUntil(
    name,
    async () => {
      const full = `wasmcustom.causeway_adaptive_rate_limit_${name}`;
      const value = (await stage?.sidecar.admin.stats('causeway_adaptive_rate_limit_'))?.get(full) ?? 0;
      return is(value) ? found(undefined) : notYet(String(value));
    },
    { deadlineMs: 20_000 },
  );
}

/** Pushes other limits, as `causeway apply` does, and waits until they are in force. */
async function relimit(limits: NonNullable<StageOptions['limits']>): Promise<void> {
  const reloads = async () => {
    const stats =
      (await stage?.sidecar.admin.stats('causeway\\.inbound\\.config_reload$')) ?? new Map<string, number>();
    return [...stats.values()].reduce((sum, value) => sum + value, 0);
  };
  const before = await reloads();
  stage?.relimit(limits);
  await waitUntil(
    'the configuration',
    async () => ((await reloads()) > before ? found(undefined) : notYet(String(before))),
    { deadlineMs: 20_000 },
  );
}

const count = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length;

const userOf = (user: string) => () => ({ 'x-user': user });

describe.each(scale() > 1 ? [1, 4] : [1, 2, 4])('with %i workers', (concurrency) => {
  it('limits by interface, then by instance, hold within 3 %', { timeout: 90_000 }, async () => {
    const { sidecar } = await start({ concurrency, limits: { interfaces: { a: 80, b: 160 } } });
    const kinds = [
      { path: '/a', perSecond: 160 },
      { path: '/b/1?c=d', perSecond: 320 },
    ];
    await holds(kinds, [80, 160]);
    const connections = await sidecar.admin.stats('^listener\\..*9080\\.worker_[0-9]+\\.downstream_cx_active$');
    expect([...connections.values()].filter((open) => open > 0)).toHaveLength(concurrency);
    await relimit({ perSecond: 200 });
    await holds([{ path: '/a', perSecond: 400 }], [200]);
  });
});

it('a hot value is limited for itself; refusals are what callers understand', { timeout: 60_000 }, async () => {
  await start({ concurrency: 2, limits: { hotspots: [{ name: 'user', by: { header: 'x-user' }, perSecond: 60 }] } });
  const others = { path: '/b/1', perSecond: 100, headers: (n: number) => ({ 'x-user': `u${n % 10}` }) };
  await holds([{ path: '/a', perSecond: 200, headers: userOf('ann') }, others], [60, 100]);

  await relimit({ perSecond: 4, retryAfterSeconds: 7 });
  const plain = (await load([{ path: '/a', perSecond: 50 }], 0.5)).find(({ status }) => status === 429);
  expect(plain?.headers).toMatchObject({ 'x-envoy-ratelimited': 'true', 'retry-after': '7' });
  const grpc = await load(
    [{ path: '/a', perSecond: 50, headers: () => ({ 'content-type': 'application/grpc' }) }],
    0.5,
  );
  const refused = grpc.filter(({ headers }) => headers['grpc-status'] !== undefined);
  expect(refused.length).toBeGreaterThan(10);
  expect(new Set(refused.map(({ headers, status }) => `${status} ${headers['grpc-status']}`))).toEqual(
    new Set(['200 8']),
  );
});

it('limits change in mid-load, and nothing is stuck', { timeout: 60_000 }, async () => {
  await start({ concurrency: 2, limits: { perSecond: 50 } });
  const running = load([{ path: '/a', perSecond: 200 }], 4);
  for (const perSecond of [60, 70, 80, 100]) {
    await new Promise((resolve) => setTimeout(resolve, 600));
    await relimit({ perSecond, interfaces: { a: perSecond } });
  }
  const answers = await running;
  expect([...new Set(answers.map(({ status }) => status))].sort()).toEqual([200, 429]);
  expect(count(answers, 200) / 4).toBeGreaterThan(50);
  expect(count(answers, 200) / 4).toBeLessThan(110);
  await holds([{ path: '/a', perSecond: 200 }], [100]);
  await relimit({ adaptive: {} });
  expect(count(await load([{ path: '/a', perSecond: 200 }], 1), 429), 'no limit is left').toBe(0);
});

it('stress-test traffic is refused first, by the class that the gateway gives', { timeout: 60_000 }, async () => {
  await start({ app: SLOW, limits: { adaptive: { after: 1 } } }, 'gateway');
  const calm = { path: '/a', perSecond: 40 };
  expect(count(await load([calm], 3), 429)).toBe(0);
  const answers = await load([calm, { path: '/b/1', perSecond: 100, headers: userOf('stress') }], 5);
  const late = answers.filter(({ at, kind }) => at > 3.5 && kind === 1);
  expect(count(late, 429) / late.length, 'stress-test traffic').toBeGreaterThan(0.8);
  // An application that this machine keeps waiting may get dearer, too, and its interface a limit; but not first.
  const [stress = [], others = []] = [1, 0].map((which) =>
    answers.filter(({ kind, status }) => kind === which && status === 429).map(({ at }) => at),
  );
  expect(others.length).toBeLessThan(stress.length / 4);
  expect(Math.min(...stress)).toBeLessThan(Math.min(...others));
  await metric('refused_total.reason.stress', (value) => value > 100);
  await load([calm], 4);
  const after = await load([{ ...calm, headers: userOf('stress') }], 1);
  await metric('level_permille', (value) => value < 1000);
  expect(after.filter(({ status }) => status === 200).length, 'it comes back').toBeGreaterThan(0);
});

it('the example does what it says', { timeout: 60_000 }, async () => {
  const example = await startExample('adaptive-rate-limit', module, '127.39.250.1');
  try {
    clients = [new Client(`http://127.0.0.1:${example.port('inbound')}`)];
    const at = async (path: string, calls: number, headers: Headers = {}): Promise<number> => {
      const answers = await Promise.all(Array.from({ length: calls }, () => send(0, path, headers)));
      return count(answers, 200);
    };
    expect(await at('/products', 100)).toBeLessThan(20);
    expect(await at('/products/7', 100)).toBe(100);
    expect(await at('/products/7', 100, { 'x-user': 'ann' })).toBeLessThan(10);
    const stress = { 'x-load-test': 'yes' };
    expect(await at('/products/7', 1, stress)).toBe(1);
    await waitUntil(
      'stress-test traffic to be refused',
      async () => {
        await load([{ path: '/slow', perSecond: 50 }], 0.5);
        return (await at('/products/7', 1, stress)) === 0 ? found(undefined) : notYet('it passes');
      },
      { deadlineMs: 20_000 },
    );
  } finally {
    await example.stop();
  }
});
