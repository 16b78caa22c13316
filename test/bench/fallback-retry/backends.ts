import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LaneInstance } from '../../../envoy-configs/clusters.ts';
import type { Protocol } from '../../../envoy-configs/mesh.ts';

export type BackendMode = 'ok' | 'sick' | 'refuse' | '503' | 'reset' | 'accept-reset';

interface Answer {
  readonly done: number;
  readonly counts?: Record<string, Record<string, number>>;
  readonly open?: Record<string, number>;
}

/** One process that plays several instances. */
export class Backends {
  private readonly child: ChildProcess;
  private number = 0;
  private readonly waiting = new Map<number, (answer: Answer) => void>();

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on('message', (message: Answer) => {
      this.waiting.get(message.done)?.(message);
      this.waiting.delete(message.done);
    });
  }

  /** Resolves when every instance listens. */
  static async start(instances: readonly LaneInstance[], protocol: Protocol): Promise<Backends> {
    const hosts = instances.map(({ id, address, ports }) => ({ id, address, port: ports.inbound, protocol }));
    const child = fork(join(import.meta.dirname, 'backend.mjs'), [JSON.stringify(hosts)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('the backends ended while starting')));
    await Promise.race([once(child, 'message'), failed]);
    failed.catch(() => {});
    return new Backends(child);
  }

  async set(id: string, mode: BackendMode, delay = 0): Promise<void> {
    await this.ask({ id, mode, delay });
  }

  /** What each instance's application has run, by method. */
  async counts(): Promise<Record<string, Record<string, number>>> {
    return (await this.ask({ counts: true })).counts ?? {};
  }

  /** Connections that each instance has open, health checks' included. */
  async connections(): Promise<Record<string, number>> {
    return (await this.ask({ counts: true })).open ?? {};
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.child.kill(signal);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }

  private ask(message: object): Promise<Answer> {
    const number = this.number++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the backends did not answer within 10 s')), 10_000);
      this.waiting.set(number, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.child.send({ ...message, number });
    });
  }
}
