import { arrivals } from './arrivals.ts';
import { Connection } from './connection.ts';
import { type Arrival, expectedArrivals, type LoadPlan, secondsOf } from './plan.ts';
import { Random } from './random.ts';
import { LoadRecord, OUTCOME } from './record.ts';

/** What happened in one second of a running load. */
export interface LoadSecond {
  /** From 1. */
  readonly second: number;
  /** In the order of the plan's streams. */
  readonly streams: readonly StreamSecond[];
}

export interface StreamSecond {
  /** Became due in this second. */
  readonly offered: number;
  /** Answered 2xx in this second. */
  readonly good: number;
  /** Answered otherwise. */
  readonly refused: number;
  readonly gaveUp: number;
}

const NOTHING: StreamSecond = { offered: 0, good: 0, refused: 0, gaveUp: 0 };

interface Waiting {
  readonly number: number;
  readonly at: number;
  readonly stream: number;
  readonly connection: Connection;
  ended: boolean;
}

/** What the connections of a pool may at most be; more requests than that in flight are more than patience allows. */
const MAX_IDLE = 4_096;
/** Timers have milliseconds; what is due within this time is sent, the rest waits for the next look. */
const LOOK_MS = 1;

/**
 * Sends the plan's requests when they are due, however many are still unanswered: an open loop. Latency counts from the moment
 * a request was due, so that a late generator cannot make a proxy look fast.
 */
export class Load {
  private readonly plan: LoadPlan;
  private readonly watch: (second: LoadSecond) => void;
  private readonly record: LoadRecord;
  private readonly random: Random;
  private readonly heads: readonly string[];
  /** Connections without a request, by stream. */
  private readonly idle: readonly Connection[][];
  /** In the order of arrival; all have the same patience. */
  private readonly waiting: Waiting[] = [];
  private oldest = 0;
  private start = 0;
  private second: { -readonly [K in keyof StreamSecond]: number }[];
  private seconds = 0;
  private worstLagMs = 0;

  constructor(plan: LoadPlan, watch: (second: LoadSecond) => void = () => {}) {
    this.plan = plan;
    this.watch = watch;
    this.record = new LoadRecord(expectedArrivals(plan));
    this.random = new Random(plan.seed).fork(0);
    this.idle = plan.streams.map(() => []);
    this.second = plan.streams.map(() => ({ ...NOTHING }));
    this.heads = plan.streams.map(({ path, headers }) => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      return `GET ${path} HTTP/1.1\r\nhost: ${plan.authority}\r\n${lines.join('')}`;
    });
  }

  /** Runs the plan to its end and answers the record and by how much the generator itself was late at worst. */
  async run(): Promise<{ record: LoadRecord; worstLagMs: number }> {
    const due = arrivals(this.plan);
    let next = due.next();
    this.start = performance.now();
    const ends = secondsOf(this.plan) * 1_000;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const now = performance.now() - this.start;
        while (now >= 1_000 * (this.seconds + 1)) this.tellSecond();
        while (next.done !== true && next.value.at <= now) {
          this.worstLagMs = Math.max(this.worstLagMs, now - next.value.at);
          this.send(next.value);
          next = due.next();
        }
        this.giveUp(now - this.plan.patienceMs);
        if (next.done === true && now >= ends && this.oldest === this.waiting.length) resolve();
        else setTimeout(look, LOOK_MS);
      };
      look();
    });
    for (const connection of this.idle.flat()) connection.close();
    return { record: this.record, worstLagMs: this.worstLagMs };
  }

  private send({ at, stream }: Arrival): void {
    const { plan, random } = this;
    const core = random.next() < (plan.streams[stream]?.coreShare ?? 0);
    const user = random.below(plan.users);
    const id = `${hex(random)}-${hex(random).slice(4)}-4e0d-8f6a-${hex(random)}${hex(random).slice(4)}`;
    const [name, value] = plan.coreHeader;
    const head = `${this.heads[stream]}${core ? `${name}: ${value}\r\n` : ''}${plan.userHeader}: u${user}\r\nx-request-id: ${id}\r\n\r\n`;
    const number = this.record.add(at, stream, core);
    this.count(stream, 'offered');
    const address = plan.streams[stream]?.address ?? plan.address;
    const connection = this.idle[stream]?.pop() ?? new Connection(address, plan.port, this.closed);
    const waiting: Waiting = { number, at, stream, connection, ended: false };
    this.waiting.push(waiting);
    connection.send(head, (status) => this.end(waiting, status));
  }

  private end(waiting: Waiting, status: number): void {
    waiting.ended = true;
    this.record.end(waiting.number, performance.now() - this.start - waiting.at, status);
    const good = status >= 200 && status < 300;
    this.count(waiting.stream, status === OUTCOME.gaveUp ? 'gaveUp' : good ? 'good' : 'refused');
    const idle = this.idle[waiting.stream];
    if (waiting.connection.usable && idle !== undefined && idle.length < MAX_IDLE) idle.push(waiting.connection);
  }

  private giveUp(arrivedBefore: number): void {
    for (;;) {
      const first = this.waiting[this.oldest];
      if (first === undefined || (!first.ended && first.at > arrivedBefore)) break;
      if (!first.ended) first.connection.giveUp();
      this.oldest++;
    }
    if (this.oldest > 4_096) {
      this.waiting.splice(0, this.oldest);
      this.oldest = 0;
    }
  }

  private tellSecond(): void {
    this.seconds++;
    this.watch({ second: this.seconds, streams: this.second });
    this.second = this.second.map(() => ({ ...NOTHING }));
  }

  private count(stream: number, what: keyof StreamSecond): void {
    const second = this.second[stream];
    if (second !== undefined) second[what]++;
  }

  private readonly closed = (connection: Connection): void => {
    for (const pool of this.idle) {
      const at = pool.indexOf(connection);
      if (at !== -1) pool.splice(at, 1);
    }
  };
}

/** Eight hex digits. */
function hex(random: Random): string {
  return random
    .below(2 ** 32)
    .toString(16)
    .padStart(8, '0');
}
