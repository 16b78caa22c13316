import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RedisStore } from '../../harness/centre/redis-store.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { freePort } from '../support/free-port.ts';
import { skipWithout } from '../support/required.ts';

const BINARY = process.env.REDIS_SERVER ?? '/usr/bin/redis-server';

const MISSING = `${BINARY}: no such file; apt-get install redis-server, or set REDIS_SERVER`;

/** Why tests with Redis cannot run here, or null; see {@link skipWithout}. */
export function whyNoRedis(): string | null {
  return skipWithout('redis', existsSync(BINARY) ? null : MISSING);
}

/** A real Redis server of one test. */
export class Redis {
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly dir: string;

  private constructor(url: string, child: ChildProcess, dir: string) {
    this.url = url;
    this.child = child;
    this.dir = dir;
  }

  static async start(): Promise<Redis> {
    if (!existsSync(BINARY)) throw new Error(MISSING);
    const dir = await mkdtemp(join(tmpdir(), 'cw-redis-'));
    const port = await freePort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'];
    const child = spawn(BINARY, args, { stdio: 'ignore' });
    const url = `redis://127.0.0.1:${port}`;
    const redis = new Redis(url, child, dir);
    await waitUntil(
      'Redis',
      async () => {
        try {
          await (await RedisStore.connect(url)).close();
          return found(undefined);
        } catch (error) {
          return notYet(String(error));
        }
      },
      { deadlineMs: 20_000 },
    );
    return redis;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}
