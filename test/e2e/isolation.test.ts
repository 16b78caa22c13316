import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { attachedDriver } from '../../harness/cli/drivers.ts';
import { type IsolateOptions, isolate, isolationStatus, release } from '../../harness/commands/isolate.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { bundle } from '../../tools/bundle.ts';
import { envoy } from '../bench/fallback-retry/rig.ts';
import { underLoad } from '../isolation/load.ts';
import { commanded, type Ended } from '../support/command.ts';
import { scaled } from '../support/scale.ts';
import { ask, bookinfoBundle, ROOT } from './support.ts';

const NETWORK = '127.68';
const GATEWAY = `http://${NETWORK}.0.1:8080`;
const CLI = join(ROOT, 'build/causeway-isolating.mjs');
const FILE = `mesh: isolation
gateways:
  - { name: gateway, exposeLane: true, routes: [{ prefix: /, service: ratings }] }
isolation: { drainSeconds: 1 }
services:
  ratings: { entrance: true, instances: { base: { replicas: 3 }, dev: {}, strict: { replicas: 2 } } }
lanes: { dev: {}, strict: { mode: strict } }
rules:
  - { name: dev, lane: dev, match: { header: { name: end-user, exact: dev } } }
  - { name: strict, lane: strict, match: { header: { name: end-user, exact: strict } } }
`;

let folder = '';
let file = '';
let state: StateFolder;

/** The whole command line, for what only it can do: starting and ending the mesh. */
function cli(...args: string[]): Promise<string> {
  const common = ['--file', file, '--state', join(folder, 's'), '--network', NETWORK];
  const child = spawn(process.execPath, [CLI, ...common, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(said);
      else reject(new Error(`${args.join(' ')}: ${said}`));
    });
  });
}

type Options = Partial<IsolateOptions>;

const options = (given: Options): IsolateOptions => ({
  file,
  state: join(folder, 's'),
  network: NETWORK,
  ...given,
});

const isolated = (id: string, given: Options = {}) => commanded((output) => isolate(id, options(given), output));
const released = (id: string) => commanded((output) => release(id, options({}), output));

async function done(ending: Promise<Ended>): Promise<Ended> {
  const ended = await ending;
  expect(ended.code, ended.err).toBe(0);
  return ended;
}

/** Straight to an instance's sidecar, past every caller's choice. */
const straight = (n: number, port = 9080, headers: Record<string, string> = {}) =>
  ask(`http://${NETWORK}.1.${n}:${port}/ratings/1`, headers);

async function counted(id: string, event: string): Promise<number> {
  const stats = await new EnvoyAdmin(join(state.run, `${id}.sock`)).stats(`causeway_isolation_${event}`);
  return [...stats.values()].reduce((sum, value) => sum + value, 0);
}

/** Of the strict lane, too. */
const under = (rate: number, work: () => Promise<void>) =>
  underLoad(GATEWAY, rate, work, { headers: (n) => (n % 4 === 0 ? { 'end-user': 'strict' } : {}) });

const IDS = [
  'ratings-base-1',
  'ratings-base-2',
  'ratings-base-3',
  'ratings-dev-1',
  'ratings-strict-1',
  'ratings-strict-2',
];

/** How often each POST was begun, in all applications together. */
function posts(): Map<string, number> {
  const begun = new Map<string, number>();
  for (const id of IDS) {
    if (!existsSync(state.journal(id))) continue;
    for (const line of readFileSync(state.journal(id), 'utf8').split('\n')) {
      if (line === '') continue;
      const { event, post } = JSON.parse(line) as { event: string; post: string };
      if (event === 'begin') begun.set(post, (begun.get(post) ?? 0) + 1);
    }
  }
  return begun;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cw-'));
  file = join(folder, 'causeway.yaml');
  state = new StateFolder(join(folder, 's/isolation'));
  writeFileSync(file, FILE);
  await bookinfoBundle();
  await bundle('causeway', CLI);
  await cli('up');
}, 120_000);

afterAll(async () => {
  await cli('down');
  rmSync(folder, { recursive: true, force: true });
  rmSync(CLI, { force: true });
});

describe('an isolated instance', { timeout: 60_000 }, () => {
  it('answers 503 with both headers from the command’s answer on, also to health checks, and nobody fails', async () => {
    expect((await straight(1)).status).toBe(200);
    await done(isolated('ratings-base-1'));
    const { status, headers } = await straight(1);
    expect(status).toBe(503);
    expect(headers).toMatchObject({ 'x-causeway-isolated': '1', 'x-envoy-immediate-health-check-fail': 'true' });
    expect((await fetch(`http://${NETWORK}.1.1:9080/health`)).status).toBe(503);
    for (let n = 0; n < 20; n++) {
      const answer = await ask(`${GATEWAY}/ratings/1`);
      expect(answer.status).toBe(200);
      expect(answer.hop?.instance).not.toBe('ratings-base-1');
      expect(Object.keys(answer.headers).filter((name) => /isolated|health-check-fail/.test(name))).toEqual([]);
    }
  });

  it('stays reachable on its control listener', async () => {
    const { status, hop } = await straight(1, 15015);
    expect([status, hop?.instance]).toEqual([200, 'ratings-base-1']);
  });

  it('is listed, and its proxy says what it kept out', async () => {
    await waitUntil(
      'what was kept out',
      async () => {
        const { out } = await done(commanded((output) => isolationStatus(options({}), output)));
        return /ratings-base-1 +everything +[1-9]/.test(out) ? found(undefined) : notYet(out);
      },
      { deadlineMs: 10_000 },
    );
    expect(await cli('status')).toMatch(/ratings-base-1 .*ISOLATED/);
  });

  it('stays isolated when its Envoy is killed', async () => {
    const driver = attachedDriver(state);
    await driver.kill('ratings-base-1', 'sidecar');
    await driver.revive('ratings-base-1');
    expect((await straight(1)).status).toBe(503);
    await done(released('ratings-base-1'));
    expect((await straight(1)).status).toBe(200);
    await waitUntil(
      'traffic is back',
      async () => {
        const { hop } = await ask(`${GATEWAY}/ratings/1`);
        return hop?.instance === 'ratings-base-1' ? found(undefined) : notYet(hop?.instance ?? 'no answer');
      },
      { deadlineMs: 10_000 },
    );
  });
});

describe('by rule', { timeout: 60_000 }, () => {
  it('an instance keeps matching requests out, and goes on serving the others and its health checks', async () => {
    await done(isolated('ratings-base-2', { header: 'end-user=mallory' }));
    const kept = await straight(2, 9080, { 'end-user': 'mallory' });
    expect(kept.status).toBe(503);
    expect(kept.headers['x-causeway-isolated']).toBe('1');
    expect(kept.headers['x-envoy-immediate-health-check-fail']).toBeUndefined();
    const seen = new Set<string | undefined>();
    for (let n = 0; n < 30; n++) {
      const mallory = await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'mallory' }, { method: 'POST', body: '{}' });
      expect([mallory.status, mallory.hop?.instance === 'ratings-base-2']).toEqual([200, false]);
    }
    for (let n = 0; n < 9; n++) seen.add((await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'jason' })).hop?.instance);
    expect(seen).toContain('ratings-base-2');
    await done(released('ratings-base-2'));
    expect((await straight(2, 9080, { 'end-user': 'mallory' })).status).toBe(200);
  });

  it('bodies within the retry buffer go elsewhere whole; larger ones may be answered 503', async () => {
    await done(isolated('ratings-base-2', { method: 'POST' }));
    const post = (id: string, bytes: number) =>
      ask(
        `${GATEWAY}/ratings/7`,
        { 'content-type': 'application/json' },
        { method: 'POST', body: JSON.stringify({ post: id, fill: 'x'.repeat(bytes) }) },
      );
    for (let n = 0; n < 12; n++) {
      const { status, hop } = await post(`within-${n}`, 256 * 1024);
      expect([status, hop?.instance === 'ratings-base-2']).toEqual([200, false]);
    }
    const statuses: number[] = [];
    for (let n = 0; n < 12; n++) statuses.push((await post(`beyond-${n}`, 4 * 1024 * 1024)).status);
    // The application that gets one says itself that it is too large for it.
    expect(statuses.filter((status) => status !== 413 && status !== 503)).toEqual([]);
    await done(released('ratings-base-2'));
    const begun = posts();
    for (let n = 0; n < 12; n++) expect(begun.get(`within-${n}`)).toBe(1);
    console.log(`of 12 bodies of 4 MiB ${statuses.filter((status) => status === 503).length} were answered 503`);
  });
});

describe('lanes', { timeout: 60_000 }, () => {
  it('a lane falls back as for an instance that is down; a strict one stays in its lane', async () => {
    await done(isolated('ratings-dev-1'));
    const { status, hop } = await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'dev' }, { method: 'POST', body: '{}' });
    expect([status, hop?.instance.slice(0, 12)]).toEqual([200, 'ratings-base']);
    await done(released('ratings-dev-1'));
    await done(isolated('ratings-strict-1'));
    for (let n = 0; n < 10; n++) {
      const answer = await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'strict' }, { method: 'POST', body: '{}' });
      expect([answer.status, answer.hop?.instance]).toEqual([200, 'ratings-strict-2']);
    }
    await done(released('ratings-strict-1'));
  });
});

describe('what is refused', { timeout: 60_000 }, () => {
  it.each<[string, () => Promise<Ended>, number, RegExp]>([
    [
      'an instance that is not there',
      () => isolated('ratings-base-9'),
      2,
      /no instance ratings-base-9; there are: .*ratings-base-1/,
    ],
    [
      'a release of one that is not isolated',
      () => released('ratings-base-1'),
      2,
      /ratings-base-1 is not isolated; no instance is/,
    ],
    ['no JSON', () => isolated('ratings-base-1', { match: 'x' }), 2, /--match: found "x", expected a matcher/],
    [
      'no matcher',
      () => isolated('ratings-base-1', { match: '{"headr":{}}' }),
      2,
      /isolation\.instances\.ratings-base-1\.match/,
    ],
    [
      'no expression, as Envoy finds',
      () => isolated('ratings-base-1', { match: '{"cel":"["}' }),
      3,
      /isolation\.rules\[0\]\.match\.cel/,
    ],
  ])('%s: nothing is changed', async (_what, command, code, words) => {
    const before = readFileSync(file, 'utf8');
    const ended = await command();
    expect(ended.err).toMatch(words);
    expect(ended.code).toBe(code);
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect((await straight(1)).status).toBe(200);
  });

  it('the last usable instance, unless it is forced', async () => {
    await done(isolated('ratings-strict-1'));
    const { code, err } = await isolated('ratings-strict-2');
    expect([code, err]).toEqual([2, expect.stringMatching(/last usable instance of ratings for lane strict/)]);
    expect((await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'strict' })).status).toBe(200);
    await done(isolated('ratings-strict-2', { force: true }));
    const answer = await ask(`${GATEWAY}/ratings/1`, { 'end-user': 'strict' });
    expect([answer.status, answer.headers['x-causeway-isolated']]).toEqual([503, undefined]);
    await done(released('ratings-strict-1'));
    await done(released('ratings-strict-2'));
  });

  it('the last one that runs: an instance that has been killed is no use', async () => {
    const driver = attachedDriver(state);
    await driver.kill('ratings-strict-1');
    expect((await isolated('ratings-strict-2')).code).toBe(2);
    await driver.revive('ratings-strict-1');
  });
});

describe('under load', { timeout: 240_000 }, () => {
  it('no request fails and none runs twice while instances are isolated and released', async () => {
    const times = scaled(20, 8);
    const refused = await counted('ratings-base-1', 'refused_total');
    const report = await under(200, async () => {
      for (let n = 0; n < times; n++) {
        for (const id of ['ratings-base-1', 'ratings-strict-1']) await done(isolated(id));
        for (const id of ['ratings-base-1', 'ratings-strict-1']) await done(released(id));
      }
    });
    expect(report.failures).toEqual({});
    expect(report.kinds.POST?.sent ?? 0).toBeGreaterThan(50);
    expect([...posts()].filter(([, begun]) => begun !== 1)).toEqual([]);
    await waitUntil(
      'what was kept out',
      async () => ((await counted('ratings-base-1', 'refused_total')) > refused ? found(undefined) : notYet('nothing')),
      { deadlineMs: 10_000 },
    );
  });
});

describe('the example', { timeout: 60_000 }, () => {
  it('does what it says, on its own ports', async () => {
    const text = readFileSync(join(ROOT, 'envoy-configs/examples/isolation.yaml'), 'utf8').replace(
      'build/causeway.wasm',
      join(ROOT, 'build/causeway.wasm'),
    );
    const { static_resources } = parse(text) as { static_resources: Parameters<typeof envoy>[1] };
    const proxy = await envoy('example', static_resources);
    try {
      await waitUntil(
        'the first health check',
        async () => ((await ask('http://127.0.0.1:15094/')).status === 200 ? found(undefined) : notYet('503')),
        { deadlineMs: 10_000 },
      );
      for (let n = 0; n < 20; n++) {
        const answer = await ask('http://127.0.0.1:15094/', {}, { method: 'POST', body: 'x' });
        expect([answer.status, answer.text]).toEqual([200, 'instance 2\n']);
        expect(answer.headers['x-causeway-isolated']).toBeUndefined();
      }
      const { status, headers } = await ask('http://127.0.0.1:15095/');
      expect([status, headers['x-causeway-isolated']]).toEqual([503, '1']);
    } finally {
      await proxy.stop();
    }
  });
});
