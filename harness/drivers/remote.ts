import { request } from 'node:http';
import type { Driver, JournalLine, NodePlan, NodeStatus, Part, Progress } from './driver.ts';

/** What travels to the supervisor: a method of the driver and its arguments. */
export interface DriverCall {
  method: DriverMethod;
  args: unknown[];
}

export const DRIVER_METHODS = [
  'up',
  'start',
  'stop',
  'kill',
  'pause',
  'resume',
  'revive',
  'status',
  'journal',
  'down',
  'ping',
] as const;
export type DriverMethod = (typeof DRIVER_METHODS)[number];

/** What comes back, one JSON object a line: any number of progress lines, then a result or an error. */
export type DriverReply = { progress: string } | { result: unknown } | { error: string };

/** No operation of a driver may take longer than this, in milliseconds. */
const CALL_TIMEOUT_MS = 180_000;

/** A driver that lives in a supervisor process and is asked over its Unix socket. */
export class RemoteDriver implements Driver {
  private readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async up(plans: readonly NodePlan[], progress?: Progress): Promise<void> {
    await this.call('up', [plans], progress);
  }

  async start(plan: NodePlan): Promise<void> {
    await this.call('start', [plan]);
  }

  async stop(id: string): Promise<void> {
    await this.call('stop', [id]);
  }

  async kill(id: string, part: Part = 'both'): Promise<void> {
    await this.call('kill', [id, part]);
  }

  async pause(id: string, part: Part = 'both'): Promise<void> {
    await this.call('pause', [id, part]);
  }

  async resume(id: string, part: Part = 'both'): Promise<void> {
    await this.call('resume', [id, part]);
  }

  async revive(id: string): Promise<void> {
    await this.call('revive', [id]);
  }

  async status(): Promise<NodeStatus[]> {
    return (await this.call('status', [])) as NodeStatus[];
  }

  async journal(id: string): Promise<JournalLine[]> {
    return (await this.call('journal', [id])) as JournalLine[];
  }

  async down(): Promise<void> {
    await this.call('down', []);
  }

  /** True when a supervisor answers; asks none of its processes. */
  ping(): Promise<boolean> {
    return this.call('ping', []).then(
      () => true,
      () => false,
    );
  }

  private call(method: DriverMethod, args: unknown[], progress: Progress = () => {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call: DriverCall = { method, args };
      const options = { socketPath: this.socketPath, method: 'POST', agent: false as const };
      const asked = request({ ...options, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) }, (answer) => {
        let rest = '';
        const take = (line: string) => {
          const reply = JSON.parse(line) as DriverReply;
          if ('progress' in reply) progress(reply.progress);
          else if ('error' in reply) reject(new Error(reply.error));
          else resolve(reply.result);
        };
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) take(line);
        });
        answer.on('end', () => reject(new Error(`${method}: the supervisor's answer ended early`)));
        answer.on('error', reject);
      });
      asked.on('error', (error) =>
        reject(new Error(`${method}: no supervisor at ${this.socketPath}: ${error.message}`)),
      );
      asked.end(JSON.stringify(call));
    });
  }
}
