import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allInstances } from '../../envoy-configs/mesh.ts';
import { versionOf } from '../../envoy-configs/xds.ts';
import { Deployment } from '../../harness/apply/deployment.ts';
import { Rejected } from '../../harness/apply/push.ts';
import { observe, statPrefix } from '../../harness/apply/versions.ts';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import * as edits from '../../harness/config/edit.ts';
import { type LoadedConfig, parseConfig } from '../../harness/config/load.ts';
import { type DriveReport, driveOpen } from '../../harness/drive/drive.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import type { StateFolder } from '../../harness/drivers/state.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { ask, bookinfoBundle, ROOT, temporaryState } from './support.ts';

const NETWORK = '127.60';
const REVIEWS = '/api/v1/products/0/reviews';
/** Bookinfo without lane dev2, which the tests make. */
const BASE = edits.deleteLane(readFileSync(join(ROOT, 'envoy-configs/bookinfo/causeway.yaml'), 'utf8'), 'dev2');

let state: StateFolder;
let remove: () => Promise<void>;
let deployment: Deployment;
let url = '';

function load(text: string): LoadedConfig {
  return { file: 'causeway.yaml', text, config: parseConfig(text, 'causeway.yaml') };
}

function withDev2(text: string, reviews: edits.InstancesEntry = { version: 'v3' }): string {
  const match = { header: { name: 'end-user', exact: 'dev2' } };
  const made = edits.addService(edits.createLane(text, 'dev2', {}), 'dev2', 'reviews', reviews);
  return edits.addRule(made, { name: 'dev2-user', entrance: 'productpage', lane: 'dev2', match });
}

/** Instances that worked on a request, as the applications say. */
async function hops(user: string): Promise<string[]> {
  const { hop, status, text } = await ask(`${url}${REVIEWS}`, { 'end-user': user });
  if (!hop) throw new Error(`status ${status}: ${text.slice(0, 200)}`);
  return hopsOf(hop).map(({ instance }) => instance);
}

/** Files of a running node that its Envoy does not report in the rendered version. */
async function behind(id: string): Promise<string[]> {
  const node = deployment.plans.find((plan) => plan.node.id === id)?.node;
  if (!node) throw new Error(`no node ${id}`);
  const seen = await observe(new EnvoyAdmin(node.adminSocket));
  return Object.entries(node.files).flatMap(([path, text]) => {
    const prefix = statPrefix(path);
    if (prefix === undefined) return [];
    const { version } = seen.subscription(prefix);
    return version === versionOf(text) && readFileSync(join(node.dir, path), 'utf8') === text ? [] : [path];
  });
}

async function allCurrent(): Promise<void> {
  for (const { node } of deployment.plans) expect(await behind(node.id), node.id).toEqual([]);
}

/** Runs work under steady traffic of everybody's and dev2's requests, a third of them POST. */
async function underTraffic(work: () => Promise<void>): Promise<DriveReport> {
  const stop = new AbortController();
  const traffic = driveOpen({
    target: url,
    rate: 40,
    durationMs: 110_000,
    timeoutMs: 30_000,
    signal: stop.signal,
    next: (n) => ({
      method: n % 3 === 0 ? 'POST' : 'GET',
      path: n % 3 === 0 ? '/api/v1/products/0/reviews' : REVIEWS,
      headers: { accept: 'application/json', ...(n % 2 === 0 ? { 'end-user': 'dev2' } : {}) },
      ...(n % 3 === 0 ? { body: '{}' } : {}),
      kind: n % 2 === 0 ? 'dev2' : 'everybody',
    }),
    judge: ({ status, error }) => (status === 0 ? `no answer: ${error}` : status < 500 ? null : `status ${status}`),
  });
  try {
    await work();
  } finally {
    stop.abort();
  }
  return traffic;
}

beforeAll(async () => {
  const wasmPath = join(ROOT, 'build/causeway.wasm');
  if (!existsSync(wasmPath)) throw new Error(`${wasmPath} is not there: run make build`);
  ({ state, remove } = await temporaryState());
  const driver = new ProcessDriver({ state, envoy: (await resolveEnvoy()).path, bookinfo: await bookinfoBundle() });
  const options = { state, driver, driverName: 'process' as const, wasmPath, resolve: { network: NETWORK } };
  deployment = await Deployment.start(options, load(BASE));
  const gateway = deployment.mesh.gateways[0];
  url = `http://${gateway?.address}:${gateway?.port}`;
}, 240_000);

afterAll(async () => {
  await deployment?.down();
  await remove?.();
});

describe('apply', { timeout: 120_000 }, () => {
  it('makes a lane under traffic without a failed request, and every Envoy reports it', async () => {
    expect(await hops('dev2')).toEqual(['productpage-base-1', 'reviews-base-1', 'ratings-base-1']);
    const report = await underTraffic(async () => {
      const { changed, changes } = await deployment.apply(load(withDev2(BASE)));
      expect(changed).toBe(true);
      expect(changes.added.map(({ node }) => node.id)).toEqual(['reviews-dev2-1']);
      // Each caller checks the new instance's health before it sends anybody there.
      await expect
        .poll(() => hops('dev2'), { timeout: 10_000 })
        .toEqual(['productpage-base-1', 'reviews-dev2-1', 'ratings-base-1']);
    });
    expect(report.failures).toEqual({});
    expect(report.sent).toBeGreaterThan(10);
    expect(await hops('nobody')).toEqual(['productpage-base-1', 'reviews-base-1', 'ratings-base-1']);
    await allCurrent();
  });

  it('does nothing when nothing changed, comments aside', async () => {
    const { changed } = await deployment.apply(load(`${deployment.text}# a remark\n`));
    expect(changed).toBe(false);
    expect(deployment.text).toContain('# a remark');
  });

  it('brings everything back when one Envoy refuses, and says why', async () => {
    const before = deployment.text;
    const ids = allInstances(deployment.mesh).map(({ id }) => id);
    // A new instance, a change for every sidecar, and an expression that only Envoy can judge.
    let text = edits.createLane(before, 'dev3', {});
    text = edits.addService(text, 'dev3', 'details', {});
    text = edits.addRule(text, {
      name: 'broken',
      entrance: 'productpage',
      lane: 'dev3',
      match: { cel: 'request.headers[' },
    });
    const report = await underTraffic(async () => {
      const refused = await deployment.apply(load(text)).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(Rejected);
      expect(refused).toMatchObject({ node: 'gateway', file: 'ecds/causeway.gateway.json' });
      expect((refused as Rejected).reason).toMatch(/rules\[2\]\.match\.cel: found "request\.headers\["/);
    });
    expect(report.failures).toEqual({});
    expect(deployment.text).toBe(before);
    expect(allInstances(deployment.mesh).map(({ id }) => id)).toEqual(ids);
    await allCurrent();
    expect(await hops('dev2')).toEqual(['productpage-base-1', 'reviews-dev2-1', 'ratings-base-1']);
    expect(state.survivors().map(({ name }) => name)).not.toContain('details-dev3-1.envoy');
  });

  it('brings everything back when an instance does not start', async () => {
    const before = deployment.text;
    const text = edits.addService(edits.createLane(before, 'dev4', {}), 'dev4', 'details', {
      env: { DELAY_MS: 'soon' },
    });
    await expect(deployment.apply(load(text))).rejects.toThrow(/details-dev4-1[\s\S]*DELAY_MS/);
    expect(deployment.text).toBe(before);
    await allCurrent();
    expect(
      state
        .survivors()
        .map(({ name }) => name)
        .filter((name) => name.includes('dev4')),
    ).toEqual([]);
  });

  it('brings everything back when it is interrupted', async () => {
    const before = deployment.text;
    const stop = new AbortController();
    const text = edits.createLane(before, 'dev5', {});
    const applying = deployment.apply(load(text), () => stop.abort(new Error('enough')), stop.signal);
    await expect(applying).rejects.toThrow('enough');
    await allCurrent();
    expect(deployment.text).toBe(before);
  });

  it('replaces an instance whose environment changes, others serving meanwhile', async () => {
    const text = withDev2(BASE, { version: 'v3', env: { DELAY_MS: '1' } });
    const report = await underTraffic(async () => {
      const { changes } = await deployment.apply(load(text));
      expect(changes.replaced.map(({ node }) => node.id)).toEqual(['reviews-dev2-1']);
    });
    expect(report.failures).toEqual({});
    await allCurrent();
    // Connections that broke under the old process may have its host ejected for a second.
    await expect
      .poll(() => hops('dev2'), { timeout: 15_000 })
      .toEqual(['productpage-base-1', 'reviews-dev2-1', 'ratings-base-1']);
  });

  it('switches a filter off and on for connections that exist', async () => {
    const off = (name: string) => `${withDev2(BASE)}filters: { ${name}: { enabled: false } }\n`;
    await deployment.apply(load(off('lane-fallback')));
    expect(await hops('dev2')).toEqual(['productpage-base-1', 'reviews-base-1', 'ratings-base-1']);
    await deployment.apply(load(off('trace-propagation')));
    expect(await hops('dev1')).toEqual(['productpage-dev1-1', 'reviews-base-1', 'ratings-base-1']);
    await deployment.apply(load(withDev2(BASE)));
    expect(await hops('dev1')).toEqual(['productpage-dev1-1', 'reviews-base-1', 'ratings-dev1-1']);
  });

  it('lets a listener’s old connections go before it says that it is done', async () => {
    const traced = `${withDev2(BASE)}tracing: { inbound: 0, outbound: 100 }\n`;
    await deployment.apply(load(traced));
    const { hop } = await ask(`${url}${REVIEWS}`);
    // Envoy writes its decision into the id's 14th hex digit: 9 = sampled.
    expect(hop ? hopsOf(hop).map(({ trace }) => trace[14]) : []).toEqual(['4', '9', '9']);
    await deployment.apply(load(withDev2(BASE)));
  });

  it('takes a lane away under traffic without a failed request, and leaves nothing of it', async () => {
    const folder = state.target('').nodeDir('reviews-dev2-1');
    expect(existsSync(folder)).toBe(true);
    const report = await underTraffic(async () => {
      await deployment.apply(load(BASE));
    });
    expect(report.failures).toEqual({});
    expect(await hops('dev2')).toEqual(['productpage-base-1', 'reviews-base-1', 'ratings-base-1']);
    expect(existsSync(folder)).toBe(false);
    expect(
      state
        .survivors()
        .map(({ name }) => name)
        .filter((name) => name.includes('dev2')),
    ).toEqual([]);
    await allCurrent();
  });

  it('switches drops, cuts and breakers while calls go on', async () => {
    const at = allInstances(deployment.mesh).find(({ id }) => id === 'productpage-base-1');
    const client = new Agent({ connections: 32 });
    let sent = 0;
    /** Shares of `count` calls of productpage, in percent, by who answered: `app`, or what this caller's sidecar did. */
    const shares = async (service: string, count = 40): Promise<Record<string, number>> => {
      const seen: Record<string, number> = {};
      let left = count;
      const work = async (): Promise<void> => {
        while (left-- > 0) {
          const { headers, statusCode, body } = await request(`http://${at?.address}:${at?.ports.outbound}/health`, {
            dispatcher: client,
            headers: { host: `${service}:9080`, 'x-request-id': `trace ${sent++}` },
            headersTimeout: 10_000,
          });
          await body.dump();
          const who = headers['x-causeway-degraded'] ?? (statusCode === 200 ? 'app' : String(statusCode));
          seen[String(who)] = (seen[String(who)] ?? 0) + 100 / count;
        }
      };
      await Promise.all(Array.from({ length: 32 }, work));
      return seen;
    };
    const apply = (degradation: string, text = BASE) => deployment.apply(load(`${text}degradation: ${degradation}\n`));
    try {
      await apply('{ drops: [{ name: third, from: [productpage], to: [reviews], percent: 30 }] }');
      const { drop = 0, app = 0 } = await shares('reviews', 3_000);
      expect(drop).toBeGreaterThan(28);
      expect(drop).toBeLessThan(32);
      expect(drop + app).toBeCloseTo(100);
      expect(await shares('details')).toEqual({ app: expect.closeTo(100) });

      const answer = "answer: { status: 203, body: '{}' }";
      await apply(`{ cuts: [{ name: off, service: reviews, on: true, ${answer} }] }`);
      expect(await shares('reviews')).toEqual({ cut: expect.closeTo(100) });
      await apply('{}');
      expect(await shares('reviews')).toEqual({ app: expect.closeTo(100) });

      const guarded = BASE.replace('  details:\n', '  details:\n    breaker: { coolDownMs: 60000 }\n');
      expect(guarded).not.toBe(BASE);
      await apply('{}', guarded);
      expect(await shares('details')).toEqual({ app: expect.closeTo(100) });
      const details = state.survivors().find(({ name }) => name === 'details-base-1.app');
      process.kill(details?.pid ?? Number.NaN, 'SIGKILL');
      await expect.poll(async () => (await shares('details')).breaker ?? 0, { timeout: 30_000 }).toBeGreaterThan(95);
      // But for one probe a second.
      expect((await shares('details', 2_000)).breaker).toBeGreaterThan(98);
      await apply('{}');
      // Which has found the application gone, and started it again; an open breaker would refuse for a minute.
      expect(await shares('details')).toEqual({ app: expect.closeTo(100) });
    } finally {
      await client.destroy();
    }
  });
});
