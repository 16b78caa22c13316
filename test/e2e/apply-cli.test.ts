import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { alive } from '../../harness/process/child.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { bundle } from '../../tools/bundle.ts';
import { ask, bookinfoBundle, ROOT } from './support.ts';

const BOOKINFO = readFileSync(join(ROOT, 'envoy-configs/bookinfo/causeway.yaml'), 'utf8');
const URL = 'http://127.64.0.1:8080/api/v1/products/0/reviews';

/** One file, as `make build` makes it: it finds the other files of the build beside itself. */
const CLI = join(ROOT, 'build/causeway-under-test.mjs');

let folder = '';
let file = '';
const common = () => ['--file', file, '--state', join(folder, 's'), '--network', '127.64'];

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the command line as a person does; `interrupt` sends Ctrl-C once its standard error says so. */
function causeway(args: readonly string[], interrupt?: RegExp): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...common(), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 150_000);
  let out = '';
  let err = '';
  let interrupted = false;
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk;
    if (!interrupted && interrupt?.test(err)) interrupted = child.kill('SIGINT');
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}

const json = (ended: Ended) => JSON.parse(ended.out) as Record<string, unknown>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cw-'));
  file = join(folder, 'causeway.yaml');
  writeFileSync(file, BOOKINFO);
  await bookinfoBundle();
  await bundle('causeway', CLI);
});

afterAll(async () => {
  if (existsSync(join(folder, 's/bookinfo'))) await causeway(['down']);
  rmSync(folder, { recursive: true, force: true });
  rmSync(CLI, { force: true });
});

describe('the command line', { timeout: 300_000 }, () => {
  it('says what is wrong, where, and by its exit status', async () => {
    writeFileSync(file, BOOKINFO.replace('exposeLane: true', 'exposeLanes: true'));
    const wrong = await causeway(['--json', 'validate', '--no-envoy']);
    writeFileSync(file, BOOKINFO);
    expect(wrong.code).toBe(2);
    expect(json(wrong)).toMatchObject({
      ok: false,
      problems: [{ file, line: 10, column: 5, field: 'gateways[0].exposeLanes', hint: 'did you mean "exposeLane"?' }],
    });
    const [misspelt, nothing, missing] = await Promise.all([
      causeway(['appply']),
      causeway(['status']),
      causeway(['--file', join(folder, 'none.yaml'), 'validate']),
    ]);
    expect(misspelt).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean apply?') });
    expect(nothing).toMatchObject({ code: 4, err: 'no such mesh runs\n' });
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('none.yaml:1:1: found no file') });
  });

  it('renders without running anything', async () => {
    const out = join(folder, 'rendered');
    const [processes, containers] = [
      await causeway(['--json', 'render', '--out', out]),
      await causeway(['--json', 'render', '--driver', 'compose', '--network', '172.29', '--out', `${out}-compose`]),
    ];
    expect(processes.code, processes.err).toBe(0);
    expect(json(processes).files).toContain(join(out, 'nodes/gateway/lds/listeners.json'));
    expect(containers.code, containers.err).toBe(0);
    expect(readFileSync(join(`${out}-compose`, 'compose.yaml'), 'utf8')).toContain('172.29.3.1');
  });

  it('ends everything on Ctrl-C while it starts', async () => {
    const ended = await causeway(['up', '--foreground'], /applications listen/);
    expect(ended.code, ended.err).toBe(130);
    expect(new StateFolder(join(folder, 's/bookinfo')).survivors()).toEqual([]);
    expect((await causeway(['status'])).code).toBe(4);
  });

  it('runs, changes and ends a mesh that outlives its commands', async () => {
    const up = await causeway(['--json', 'up']);
    expect(up.code, up.err).toBe(0);
    expect(json(up)).toMatchObject({ ok: true, gateways: [{ id: 'gateway', url: 'http://127.64.0.1:8080' }] });
    expect((await causeway(['up'])).code).toBe(4);

    const status = json(await causeway(['--json', 'status']));
    expect(status).toMatchObject({ healthy: true });
    expect((status.nodes as { id: string }[]).map(({ id }) => id)).toContain('reviews-dev2-1');

    const broken = ['lane', 'rule', 'dev1', '--name', 'broken', '--entrance', 'productpage', '--match', '{"cel":"["}'];
    expect(await causeway(broken)).toMatchObject({ code: 3, err: expect.stringContaining('brought back') });
    expect(readFileSync(file, 'utf8')).toBe(BOOKINFO);

    const gone = await causeway(['--json', 'lane', 'delete', 'dev2']);
    expect(gone.code, gone.err).toBe(0);
    expect(json(gone)).toMatchObject({ applied: true });
    expect(readFileSync(file, 'utf8')).not.toContain('dev2');
    const { hop } = await ask(URL, { 'end-user': 'dev2' });
    expect(hop && hopsOf(hop).map(({ instance }) => instance)[1]).toBe('reviews-base-1');
    expect(json(await causeway(['--json', 'apply']))).toMatchObject({ ok: true, applied: false, diff: '' });

    const driven = await causeway(['--json', 'drive', '--rate', '10', '--duration', '1', '--header', 'end-user: dev1']);
    expect(driven.code, driven.out).toBe(0);
    expect(json(driven)).toMatchObject({ failed: 0, routes: { 'productpage-dev1-1 details-base-1': 10 } });

    const next = join(folder, 'next.wasm');
    // A custom section more: another module that does the same.
    writeFileSync(next, Buffer.concat([readFileSync(join(ROOT, 'build/causeway.wasm')), Buffer.from([0, 2, 1, 0x6e])]));
    const upgraded = await causeway(['--json', '--wasm', next, 'apply']);
    expect(upgraded.code, upgraded.err).toBe(0);
    expect(json(upgraded)).toMatchObject({ applied: true, diff: '' });
    expect(json(upgraded).changes).toContain('~ update gateway: ecds/causeway.gateway.json');
    expect(json(await causeway(['--json', 'apply']))).toMatchObject({ applied: false });
    expect(await causeway(['--wasm', join(folder, 'none.wasm'), 'apply'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('none.wasm: not there'),
    });

    const steps = ['untagged', 'unfiltered', 'prepared', 'routed', 'plain'].map((name) => ({ name }));
    const planned = json(await causeway(['--json', 'apply', '--uninstall', '--dry-run']));
    expect(planned).toMatchObject({ applied: false, steps });
    const state = new StateFolder(join(folder, 's/bookinfo'));
    const pids = state.survivors().map(({ pid }) => pid);
    expect(pids.length).toBeGreaterThan(12);
    expect((await causeway(['down'])).code).toBe(0);
    await waitUntil(
      'no process left',
      () => (pids.some(alive) ? notYet(`${pids.filter(alive).join(' ')} still there`) : found(undefined)),
      { deadlineMs: 10_000 },
    );
    expect((await causeway(['down'])).code).toBe(4);
  });
});
