import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import { RemoteDriver } from '../../harness/drivers/remote.ts';
import type { StateFolder } from '../../harness/drivers/state.ts';
import { supervise } from '../../harness/drivers/supervisor.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { alive } from '../../harness/process/child.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type PlainMesh, plainMesh } from './plain-mesh.ts';
import { ask, bookinfoBundle, ROOT, temporaryState } from './support.ts';

let state: StateFolder;
let remove: () => Promise<void>;
let driver: ProcessDriver;
let mesh: PlainMesh;
let url = '';

const make = async () => {
  const envoy = (await resolveEnvoy()).path;
  return new ProcessDriver({ state, envoy, bookinfo: await bookinfoBundle() });
};

beforeAll(async () => {
  ({ state, remove } = await temporaryState());
  driver = await make();
  mesh = plainMesh('127.61', '127.61.0.1', state.target('/unused.wasm'));
  url = `http://${mesh.gateway.address}:${mesh.gateway.port}/api/v1/products/0`;
  await driver.up(mesh.plans);
});

afterAll(async () => {
  await driver.down();
  await remove();
});

const pids = async () =>
  (await driver.status()).flatMap(({ app, sidecar }) => [app.pid, sidecar.pid].filter((pid) => pid !== undefined));

describe('a mesh of processes', () => {
  it('serves through gateway, sidecars and applications', async () => {
    const { status, hop } = await ask(url);
    expect(status).toBe(200);
    expect(hop && hopsOf(hop).map(({ instance }) => instance)).toEqual(['productpage-base-1', 'details-base-1']);
  });

  it('kills an instance at once and revives it', async () => {
    await driver.kill('details-base-1');
    const [killed] = (await driver.status()).filter(({ id }) => id === 'details-base-1');
    expect(killed).toMatchObject({
      app: { state: 'ended', ended: 'SIGKILL' },
      sidecar: { state: 'ended' },
      ready: false,
    });
    expect((await ask(url)).status).toBe(503);
    await driver.revive('details-base-1');
    await driver.settled();
    expect((await ask(url)).status).toBe(200);
  });

  it('pauses and resumes an application, which finishes what it was asked meanwhile', async () => {
    await driver.pause('details-base-1', 'app');
    const [paused] = (await driver.status()).filter(({ id }) => id === 'details-base-1');
    expect(paused).toMatchObject({ app: { state: 'paused' }, sidecar: { state: 'running' }, ready: true });
    await driver.resume('details-base-1', 'app');
    await driver.settled();
    expect((await ask(url)).status).toBe(200);
  });

  it('journals POSTs of an application in a file that outlives it', async () => {
    const body = JSON.stringify({ post: 'p-1' });
    await ask(`${url}/ratings`, {}, { method: 'POST', body });
    expect(await driver.journal('productpage-base-1')).toMatchObject([
      { event: 'begin', post: 'p-1' },
      { event: 'end', post: 'p-1' },
    ]);
  });

  it('names the process and shows its log when something cannot start', async () => {
    const [plan] = mesh.plans;
    const broken = structuredClone(plan) as NonNullable<typeof plan>;
    const node = { ...broken.node, id: 'broken', files: { 'bootstrap.json': '{"no_such_field": 1}' } };
    node.dir = state.target('').nodeDir('broken');
    node.adminSocket = state.target('').adminSocket('broken');
    const lone = await make();
    await expect(lone.start({ node })).rejects.toThrow(/broken: Envoy ended[\s\S]*no_such_field/);
    await lone.stop('broken');
  });

  it('leaves no process, pid file or socket behind', async () => {
    const before = await pids();
    expect(before.length).toBe(5);
    await driver.down();
    expect(before.filter(alive)).toEqual([]);
    expect(readdirSync(join(state.root, 'pids'))).toEqual([]);
    expect(existsSync(state.run)).toBe(false);
  });
});

describe('a supervisor', () => {
  it('offers the same driver over its socket and ends with it', async () => {
    const inner = await make();
    const over = supervise(inner, state);
    const remote = new RemoteDriver(state.supervisorSocket);
    await waitUntil('socket', async () => ((await remote.status()) ? found(0) : notYet('')), { deadlineMs: 5_000 });
    const lines: string[] = [];
    await remote.up(mesh.plans, (line) => lines.push(line));
    expect(lines.at(-1)).toBe('every Envoy sees every host healthy');
    expect((await ask(url)).status).toBe(200);
    expect((await remote.status()).map(({ id, ready }) => [id, ready])).toEqual([
      ['productpage-base-1', true],
      ['details-base-1', true],
      ['gateway', true],
    ]);
    await remote.kill('details-base-1', 'app');
    await remote.revive('details-base-1');
    await expect(remote.stop('nobody')).rejects.toThrow('no node nobody (there are: productpage-base-1');
    await remote.down();
    await over;
    expect(state.survivors()).toEqual([]);
    await expect(remote.status()).rejects.toThrow('no supervisor at');
  });

  it('takes every process with it when it is killed itself', async () => {
    const program = `
      const { ProcessDriver } = await import(${JSON.stringify(join(ROOT, 'harness/drivers/process.ts'))});
      const { StateFolder } = await import(${JSON.stringify(join(ROOT, 'harness/drivers/state.ts'))});
      const [root, envoy, bookinfo, plans] = process.argv.slice(1);
      await new ProcessDriver({ state: new StateFolder(root), envoy, bookinfo }).up(JSON.parse(plans));
      process.kill(process.pid, 'SIGKILL');`;
    const envoy = (await resolveEnvoy()).path;
    const words = ['--import', 'tsx', '--input-type=module', '-e', program, state.root, envoy, await bookinfoBundle()];
    const killed = spawnSync(process.execPath, [...words, JSON.stringify(mesh.plans)], { timeout: 60_000, cwd: ROOT });
    expect([killed.signal, killed.stderr.toString()]).toEqual(['SIGKILL', '']);
    const none = () => (state.survivors().length === 0 ? found(0) : notYet(`${state.survivors().length} still run`));
    await waitUntil('all processes gone', none, { deadlineMs: 10_000 });
  });

  it('ends what an earlier run left behind, and nothing else', async () => {
    const first = await make();
    await first.up(mesh.plans);
    const left = state.survivors().map(({ pid }) => pid);
    expect(left.length).toBe(5);
    // A pid file whose pid now belongs to somebody else: this very process.
    await state.remember('stranger', process.pid, 'a word that is not in our command line');
    expect(await state.sweep()).toBe(5);
    expect(left.filter(alive)).toEqual([]);
  });
});
