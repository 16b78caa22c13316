import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { type Logged, ROLES, TRIGGER, type TrapRole, type TrapSidecar } from './sidecar.ts';

const TIMEOUT_MS = 10_000;
/** A machine that cannot keep up is not to drown: past this many in flight, requests that are due are left out. */
const MAX_IN_FLIGHT = 200;

/** Open-loop traffic to both roles, half of it to each. What becomes of it is in the sidecar's log. */
export class Traffic {
  readonly #sidecar: TrapSidecar;
  readonly #pools: Readonly<Record<TrapRole, Pool>>;
  readonly #pending = new Set<Promise<unknown>>();
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

  /** Ends the traffic and waits for what is in flight; the second time there is nothing to do. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#pending);
    await Promise.all(Object.values(this.#pools).map((pool) => pool.close()));
  }

  /** Sends the request that traps a role's VM, on a connection of its own; the status of its answer. */
  async trap(role: TrapRole): Promise<number> {
    const pool = new Pool(this.#sidecar.target(role), { connections: 1 });
    try {
      return await ask(pool, { [TRIGGER]: '1', 'x-request-id': randomUUID() });
    } finally {
      await pool.destroy();
    }
  }

  async #run(): Promise<void> {
    const from = performance.now();
    for (let n = 0; !this.#stopping; ) {
      const due = ((performance.now() - from) * this.#rate) / 1_000;
      for (; n < due; n++) {
        if (this.#pending.size < MAX_IN_FLIGHT) this.#send(ROLES[n % ROLES.length] as TrapRole);
      }
      await sleep(1);
    }
  }

  #send(role: TrapRole): void {
    const headers = { 'x-request-id': randomUUID(), 'x-asm-traffic-lane': 'dev1' };
    const pending = ask(this.#pools[role], headers).finally(() => this.#pending.delete(pending));
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

export function isLost(one: Logged): boolean {
  return one.status !== 200;
}

/** What one trap did to its own role and to the others. */
export interface Damage {
  /** Requests in its role while it happened, beside the one that trapped. */
  inFlight: number;
  lost: number;
  /** Lost although they were not in flight while it happened. */
  beyond: number;
  /** Lost in other roles. */
  others: number;
  /** Milliseconds from the trap to the first request that is served again. */
  recoveredMs: number;
}

/** Judges one trap by what ended before the next one (`until`); `workMs` is what the application takes for each request. */
export function damageOf(trap: Logged, requests: readonly Logged[], until: number, workMs: number): Damage {
  const around = requests.filter((one) => !one.trap && one.end >= trap.start && one.end < until);
  const own = around.filter((one) => one.role === trap.role);
  const exposed = new Set(own.filter((one) => one.start <= trap.end));
  const lost = own.filter(isLost);
  const lastLost = Math.max(trap.start, ...lost.map((one) => one.start));
  const served = own.filter((one) => one.start >= lastLost && !isLost(one)).map((one) => one.end - workMs);
  return {
    inFlight: exposed.size,
    lost: lost.length,
    beyond: lost.filter((one) => !exposed.has(one)).length,
    others: around.filter((one) => one.role !== trap.role && isLost(one)).length,
    recoveredMs: Math.max(0, Math.min(...served) - trap.start),
  };
}
