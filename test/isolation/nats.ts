import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accepts } from '../../harness/drivers/process.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { notInstalled, skipWithout } from '../support/required.ts';

const BINARY = process.env.NATS_SERVER ?? 'nats-server';

/** Why tests with a broker cannot run here, or null; see {@link skipWithout}. */
export function whyNoNats(): string | null {
  return skipWithout('nats', notInstalled([BINARY, '--version'], 'apt-get install nats-server, or set NATS_SERVER'));
}

/** A real NATS server of one test. */
export class Nats {
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  static async start(host: string, port: number): Promise<Nats> {
    const child = spawn(BINARY, ['--addr', host, '--port', String(port)], { stdio: 'ignore' });
    const nats = new Nats(child);
    await waitUntil('NATS', async () => ((await accepts(host, port)) ? found(undefined) : notYet('nothing listens')), {
      deadlineMs: 10_000,
    });
    return nats;
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    if (!this.child.kill('SIGKILL')) return;
    await ended;
  }
}
