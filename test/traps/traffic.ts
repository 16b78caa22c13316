import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { ROLES, TRIGGER, type TrapRole, type TrapSidecar } from './sidecar.ts';

/** One request of the traffic; times in milliseconds of `performance.now()`. */
export interface Sent {
  readonly role: TrapRole;
  readonly start: number;
  /** Infinite while it is in flight. */
  end: number;
  /** 0 while it is in flight, and when the connection broke. */
  status: number;
}

const TIMEOUT_MS = 10_000;

/** Open-loop traffic to both roles, every request remembered; half of it to each. */
export class Traffic {
  readonly sent: Sent[] = [];
  readonly #sidecar: TrapSidecar;
  readonly #pools: Readonly<Record<TrapRole, Pool>>;
  readonly #pending = new Set<Promise<void>>();
  readonly #rate: number;
  #running: Promise<void> | undefined;
  #stopping = false;

  /** `rate`: requests per second, of both roles together. */
  constructor(sidecar: TrapSidecar, rate: number) {
    this.#sidecar = sidecar;
    this.#rate = rate;
    this.#pools = { inbound: new Pool(sidecar.target('inbound')), outbound: new Pool(sidecar.target('outbound')) };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends the traffic and waits for what is in flight. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#pending);
    await Promise.all(Object.values(this.#pools).map((pool) => pool.close()));
  }

  /** Sends the request that traps a role's VM; answers when it was sent and when its failure came back. */
  async trap(role: TrapRole): Promise<{ sent: number; answered: number; status: number }> {
    // A connection of its own: what happens to it happens to nobody else.
    const pool = new Pool(this.#sidecar.target(role), { connections: 1 });
    const sent = performance.now();
    const status = await ask(pool, { [TRIGGER]: '1', 'x-request-id': randomUUID() });
    const answered = performance.now();
    await pool.destroy();
    return { sent, answered, status };
  }

  async #run(): Promise<void> {
    const from = performance.now();
    for (let n = 0; !this.#stopping; ) {
      const due = ((performance.now() - from) * this.#rate) / 1_000;
      for (; n < due; n++) this.#send(ROLES[n % ROLES.length] as TrapRole);
      await sleep(1);
    }
  }

  #send(role: TrapRole): void {
    const one: Sent = { role, start: performance.now(), end: Number.POSITIVE_INFINITY, status: 0 };
    this.sent.push(one);
    const headers = { 'x-request-id': randomUUID(), 'x-asm-traffic-lane': 'dev1' };
    const pending = ask(this.#pools[role], headers).then((status) => {
      one.end = performance.now();
      one.status = status;
      this.#pending.delete(pending);
    });
    this.#pending.add(pending);
  }
}

/** Status of the answer, 0 without one. Never rejects. */
async function ask(pool: Pool, headers: Readonly<Record<string, string>>): Promise<number> {
  try {
    const answer = await pool.request({ path: '/', method: 'GET', headers, headersTimeout: TIMEOUT_MS });
    await answer.body.dump();
    return answer.statusCode;
  } catch {
    return 0;
  }
}

export function isLost(one: Sent): boolean {
  return one.status !== 200;
}

/** Whether the request was in flight at some moment between the two. */
export function overlaps(one: Sent, from: number, to: number): boolean {
  return one.start <= to && one.end >= from;
}
