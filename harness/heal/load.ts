import { type DriveRequest, driveOpen } from '../drive/drive.ts';
import { realClock } from '../process/wait.ts';

export interface Sent {
  /** Milliseconds from the beginning of the load until it was sent. */
  readonly at: number;
  readonly tookMs: number;
  /** 0: no answer. */
  readonly status: number;
  readonly instance: string;
}

export interface LoadOptions {
  readonly url: string;
  /** The callee. */
  readonly host: string;
  readonly caller: string;
  /** Requests a second. */
  readonly rate: number;
}

const LONGEST_MS = 30 * 60_000;

/** An open loop of POST requests, which nothing retries, until it is stopped; each answer is remembered. */
export class Load {
  readonly sent: Sent[] = [];
  readonly #started = performance.now();
  readonly #stop = new AbortController();
  readonly #over: Promise<unknown>;

  constructor({ url, host, caller, rate }: LoadOptions) {
    const begun = new WeakMap<DriveRequest, number>();
    this.#over = driveOpen({
      target: url,
      rate,
      durationMs: LONGEST_MS,
      timeoutMs: 5_000,
      signal: this.#stop.signal,
      next: () => {
        const headers = { host, 'x-caller': caller };
        const one: DriveRequest = { method: 'POST', path: '/', headers, body: 'x', kind: 'all' };
        begun.set(one, this.now());
        return one;
      },
      judge: ({ status, headers }, one) => {
        const at = begun.get(one) ?? 0;
        this.sent.push({ at, tookMs: this.now() - at, status, instance: String(headers['x-instance'] ?? '') });
        return status === 200 ? null : `status ${status}`;
      },
    });
  }

  now(): number {
    return performance.now() - this.#started;
  }

  /** Lets so much time pass. */
  async goOn(ms: number): Promise<void> {
    await realClock.sleep(ms);
  }

  between(from: number, to = Number.POSITIVE_INFINITY): readonly Sent[] {
    return this.sent.filter(({ at }) => at >= from && at < to);
  }

  failed(from: number, to = Number.POSITIVE_INFINITY): readonly Sent[] {
    return this.between(from, to).filter(({ status }) => status !== 200);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#over;
  }
}
