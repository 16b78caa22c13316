import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accepts } from '../../harness/drivers/process.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';

const BINARY = process.env.NATS_SERVER ?? 'nats-server';

/**
 * Why tests with a broker cannot run here, or null. Where `CAUSEWAY_REQUIRE` names nats a missing server is a failure;
 * elsewhere it is one loud line and counted as skipped.
 */
export function whyNoNats(): string | null {
  if (spawnSync(BINARY, ['--version']).status === 0) return null;
  const missing = `no ${BINARY}: apt-get install nats-server, or set NATS_SERVER`;
  if ((process.env.CAUSEWAY_REQUIRE ?? '').split(',').includes('nats')) {
    throw new Error(`CAUSEWAY_REQUIRE names nats, but: ${missing}`);
  }
  console.warn(`\n*** SKIPPED: tests of event traffic need NATS (${missing}) ***\n`);
  return missing;
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
