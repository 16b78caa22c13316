/** A centre that runs learns of what changes in its files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRecord } from '../../harness/apply/record.ts';
import { loadMesh } from '../../harness/config/load.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { addressOf, type CentreFiles, CentreProcess, tokenOf, writeFiles } from './process.ts';

const dir = mkdtempSync(join(tmpdir(), 'cw-follow-'));
const state = new StateFolder(join(dir, 'state'));
const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
let files: CentreFiles;
let centre: CentreProcess;
let sequence = Date.now() * 1_000;

beforeAll(async () => {
  files = writeFiles(dir, 1, 2, ['a']);
  centre = await CentreProcess.start({ ...files, deployment: state.root });
  ends.push(() => centre.stop());
}, 30_000);

afterAll(async () => {
  while (ends.length > 0) await ends.pop()?.();
});

/** How many rows on these hosts of the first service an agent's report has refused; the status when it is not 200. */
async function refused(agent: string, hosts: readonly string[]): Promise<number> {
  const rows = hosts.map((host) => ({ service: 's0', host, requests: 1, errors: 0, listed: false }));
  const { statusCode, body } = await request(`${centre.url}/v1/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokenOf(agent)}` },
    body: JSON.stringify({ sequence: ++sequence, since: 0, services: ['s0'], hosts: rows }),
  });
  const answer = (await body.json()) as { refused: number };
  return statusCode === 200 ? answer.refused : statusCode;
}

const metric = async (line: string) => (await (await request(`${centre.url}/metrics`)).body.text()).includes(line);
const soon = { timeout: 10_000, interval: 200 };

it('instances and proxies that a changed file adds', async () => {
  expect(await refused('a', [addressOf(0, 0), addressOf(0, 2)])).toBe(1);
  expect(await refused('b', [])).toBe(401);
  writeFiles(dir, 1, 3, ['a', 'b']);
  await expect.poll(() => refused('a', [addressOf(0, 0), addressOf(0, 2)]), soon).toBe(0);
  await expect.poll(() => refused('b', [addressOf(0, 2)]), soon).toBe(0);
});

it('bad input: what cannot be read changes nothing, and is counted', async () => {
  writeFileSync(files.mesh, 'mesh: [');
  await expect.poll(() => metric('causeway_centre_reloads_total{result="refused"} 1'), soon).toBe(true);
  writeFileSync(files.credentials, '{');
  await expect.poll(() => metric('causeway_centre_reloads_total{result="refused"} 2'), soon).toBe(true);
  expect(await refused('b', [addressOf(0, 2)])).toBe(0);
  writeFiles(dir, 1, 3, ['a', 'b']);
});

it('addresses that instances have where they run, whatever the file would give them', async () => {
  const mesh = loadMesh(files.mesh, { network: '127.5' });
  await state.create();
  await writeRecord(state, { layout: 1, driver: 'process', file: '', text: '', mesh, wasmPath: '' });
  await expect.poll(() => refused('a', [addressOf(0, 0).replace('127.0', '127.5')]), soon).toBe(0);
  expect(await refused('a', [addressOf(0, 0)])).toBe(1);
});
