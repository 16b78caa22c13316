import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SyncAnswer } from '../../harness/centre/api.ts';
import { addressOf, type CentreFiles, CentreProcess, tokenOf, writeFiles } from './process.ts';
import { Redis, whyNoRedis } from './redis.ts';

/** Two replicas as processes, one Redis, one of the replicas killed. */

const missing = whyNoRedis();
let dir: string;
let files: CentreFiles;
let redis: Redis;
let replicas: CentreProcess[];

beforeAll(async () => {
  if (missing !== null) return;
  dir = mkdtempSync(join(tmpdir(), 'cw-replicas-'));
  files = writeFiles(dir, 1, 10, ['a', 'b', 'c']);
  redis = await Redis.start();
  replicas = await Promise.all([0, 1].map(() => CentreProcess.start(files, { REDIS_URL: redis.url })));
}, 120_000);

afterAll(async () => {
  if (missing !== null) return;
  await Promise.all(replicas.map((replica) => replica.stop()));
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function sync(replica: CentreProcess | undefined, agent: string, listed: readonly number[]): Promise<SyncAnswer> {
  const hosts = listed.map((n) => ({ service: 's0', host: addressOf(0, n), requests: 100, errors: 100, listed: true }));
  const { statusCode, body } = await request(`${replica?.url}/v1/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokenOf(agent)}` },
    body: JSON.stringify({
      sequence: Date.now() * 1000 + Math.floor(performance.now() % 1000),
      since: 0,
      services: ['s0'],
      hosts,
    }),
  });
  const answer = (await body.json()) as SyncAnswer;
  expect(statusCode, JSON.stringify(answer)).toBe(200);
  return answer;
}

const heard = async (replica: CentreProcess | undefined) =>
  (await sync(replica, 'c', [])).verdicts.map(({ host }) => host);

it.skipIf(missing !== null)('agents notice nothing of a replica that is killed', async () => {
  const [one, two] = replicas;
  await sync(one, 'a', [0]);
  await sync(two, 'b', [0]);
  await expect.poll(() => heard(one), { timeout: 10_000, interval: 300 }).toEqual([addressOf(0, 0)]);
  await expect.poll(() => heard(two), { timeout: 10_000, interval: 300 }).toEqual([addressOf(0, 0)]);
  const { version } = await sync(two, 'c', []);

  await one?.stop('SIGKILL');
  expect(await heard(two), 'what was decided holds').toEqual([addressOf(0, 0)]);
  for (const agent of ['a', 'b']) await sync(two, agent, [1]);
  await expect
    .poll(async () => (await heard(two)).toSorted(), { timeout: 10_000, interval: 300 })
    .toEqual([addressOf(0, 0), addressOf(0, 1)]);
  expect((await sync(two, 'c', [])).version).toBeGreaterThan(version);
});
