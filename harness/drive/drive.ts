import { Pool } from 'undici';
import { type Clock, realClock } from '../process/wait.ts';
import { Latencies, type LatencySummary } from './latency.ts';

export interface DriveRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
  /** Groups the figures, such as `GET` or a lane's name. */
  kind: string;
}

export interface DriveAnswer {
  /** 0 = no answer; `error` says why. */
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
  error?: string;
}

/** A failed request in one line: what is counted and shown. `null` = as it should be. */
export type Verdict = string | null;

export interface DriveOptions {
  /** `http://address:port`. */
  target: string;
  /** The n-th request, n from 0. */
  next(n: number): DriveRequest;
  /** Judges one answer. Default: status below 400. */
  judge?(answer: DriveAnswer, request: DriveRequest): Verdict;
  /** Milliseconds after which a request counts as unanswered. Default 20,000. */
  timeoutMs?: number;
  /** Connections to the target. Default: as many as are needed; a closed loop needs `concurrency`. */
  connections?: number;
  /** Ends the drive early; what is in flight is still awaited. */
  signal?: AbortSignal;
  clock?: Clock;
}

export interface KindReport {
  sent: number;
  failed: number;
  /** Latency of answered requests, milliseconds. */
  latency: LatencySummary;
}

export interface DriveReport extends KindReport {
  /** Requests that were due but not sent, because too many were in flight already. Open loop only. */
  notSent: number;
  /** Milliseconds from the first request to the last answer. */
  elapsedMs: number;
  statuses: Record<string, number>;
  /** Failures by verdict; at most 50 different ones, the rest under `other`. */
  failures: Record<string, number>;
  kinds: Record<string, KindReport>;
}

/**
 * Open loop: requests go out at the stated rate whatever the answers do, as real users' do, and latency counts from
 * the moment a request was due. A server that stalls cannot slow its own test down.
 */
export async function driveOpen(
  options: DriveOptions & { rate: number; durationMs: number; maxInFlight?: number },
): Promise<DriveReport> {
  const clock = options.clock ?? realClock;
  const { rate, durationMs, maxInFlight = 4_096 } = options;
  const run = new Run(options, clock);
  const total = Math.round((rate * durationMs) / 1_000);
  let next = 0;
  while (next < total && !options.signal?.aborted) {
    const due = Math.min(total, Math.floor(((clock.now() - run.start) * rate) / 1_000) + 1);
    for (; next < due; next++) {
      if (run.inFlight >= maxInFlight) run.notSent++;
      else run.send(next, run.start + (next * 1_000) / rate);
    }
    await clock.sleep(1);
  }
  return run.finish();
}

/** Closed loop: `total` requests, always `concurrency` of them in flight. Latency counts from sending. */
export async function driveClosed(
  options: DriveOptions & { total: number; concurrency: number },
): Promise<DriveReport> {
  const clock = options.clock ?? realClock;
  const run = new Run({ connections: options.concurrency, ...options }, clock);
  let next = 0;
  const worker = async () => {
    while (next < options.total && !options.signal?.aborted) await run.send(next++, clock.now());
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return run.finish();
}

interface Tally {
  sent: number;
  failed: number;
  latencies: Latencies;
}

const MAX_REASONS = 50;

class Run {
  readonly start: number;
  inFlight = 0;
  notSent = 0;
  private readonly pool: Pool;
  private readonly options: DriveOptions;
  private readonly clock: Clock;
  private readonly all: Tally = newTally();
  private readonly kinds = new Map<string, Tally>();
  private readonly statuses = new Map<string, number>();
  private readonly failures = new Map<string, number>();
  private readonly pending = new Set<Promise<void>>();
  private last: number;

  constructor(options: DriveOptions, clock: Clock) {
    this.options = options;
    this.clock = clock;
    this.pool = new Pool(options.target, { connections: options.connections ?? null, pipelining: 1 });
    this.start = clock.now();
    this.last = this.start;
  }

  /** Sends one request; the promise ends, without failing, when it has been answered and counted. */
  send(n: number, due: number): Promise<void> {
    this.inFlight++;
    const done = this.one(n, due).finally(() => {
      this.inFlight--;
      this.pending.delete(done);
    });
    this.pending.add(done);
    return done;
  }

  async finish(): Promise<DriveReport> {
    await Promise.all(this.pending);
    await this.pool.close();
    return {
      ...report(this.all),
      notSent: this.notSent,
      elapsedMs: Math.round(this.last - this.start),
      statuses: Object.fromEntries(this.statuses),
      failures: Object.fromEntries(this.failures),
      kinds: Object.fromEntries([...this.kinds].map(([kind, tally]) => [kind, report(tally)])),
    };
  }

  private async one(n: number, due: number): Promise<void> {
    const request = this.options.next(n);
    const answer = await this.ask(request);
    this.last = this.clock.now();
    const verdict = (this.options.judge ?? belowFourHundred)(answer, request);
    for (const tally of [this.all, this.kind(request.kind)]) {
      tally.sent++;
      if (verdict !== null) tally.failed++;
      if (answer.status !== 0) tally.latencies.add(this.last - due);
    }
    count(this.statuses, String(answer.status));
    if (verdict !== null) {
      count(this.failures, this.failures.has(verdict) || this.failures.size < MAX_REASONS ? verdict : 'other');
    }
  }

  private kind(name: string): Tally {
    const known = this.kinds.get(name) ?? newTally();
    this.kinds.set(name, known);
    return known;
  }

  private async ask({ method, path, headers, body }: DriveRequest): Promise<DriveAnswer> {
    const timeout = this.options.timeoutMs ?? 20_000;
    const limits = { headersTimeout: timeout, bodyTimeout: timeout };
    try {
      const answer = await this.pool.request({
        method,
        path,
        headers,
        ...limits,
        ...(body === undefined ? {} : { body }),
      });
      return { status: answer.statusCode, headers: answer.headers, body: await answer.body.text() };
    } catch (error) {
      return { status: 0, headers: {}, body: '', error: error instanceof Error ? error.message : String(error) };
    }
  }
}

const newTally = (): Tally => ({ sent: 0, failed: 0, latencies: new Latencies() });

const report = ({ sent, failed, latencies }: Tally): KindReport => ({ sent, failed, latency: latencies.summary() });

const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

function belowFourHundred(answer: DriveAnswer): Verdict {
  if (answer.status === 0) return `no answer: ${answer.error}`;
  return answer.status < 400 ? null : `status ${answer.status}`;
}
