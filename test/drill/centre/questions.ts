import { setMaxListeners } from 'node:events';
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { IsolationAnswer } from '../../../harness/centre/api.ts';
import { type CentreProcess, tokenOf } from '../../centre/process.ts';

/** The questions that agents keep open at one centre: whether their instance is to be isolated. */
export class Questions {
  /** Those that the centre has answered. */
  answered = 0;
  readonly #centre: CentreProcess;
  readonly #sockets = new Agent({ keepAlive: true });
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>[] = [];

  constructor(centre: CentreProcess) {
    this.#centre = centre;
    setMaxListeners(0, this.#stop.signal);
  }

  /** Answered when the centre has something new or is tired of keeping the question. */
  ask(instance: string): Promise<IsolationAnswer> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${tokenOf(instance)}` };
      const options = { agent: this.#sockets, headers, signal: this.#stop.signal };
      get(`${this.#centre.url}/v1/isolations/${instance}?known=0`, options, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve(JSON.parse(text) as IsolationAnswer)).on('error', reject);
      }).on('error', reject);
    });
  }

  /** Asks from `afterMs` on until the end, as an agent does: again within a second of each answer. */
  watch(instance: string, afterMs: number): void {
    this.#watching.push(
      this.#again(instance, afterMs).catch((error: Error) => {
        if (!this.#stop.signal.aborted) throw error;
      }),
    );
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#watching);
    this.#sockets.destroy();
  }

  async #again(instance: string, afterMs: number): Promise<void> {
    await delay(afterMs, undefined, { signal: this.#stop.signal });
    while (!this.#stop.signal.aborted) {
      await this.ask(instance);
      this.answered++;
      await delay(1_000 * Math.random(), undefined, { signal: this.#stop.signal });
    }
  }
}
