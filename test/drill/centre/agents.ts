import type { Dispatcher } from 'undici';
import { Pool } from 'undici';
import type { SyncAnswer } from '../../../harness/centre/api.ts';
import { addressOf, type CentreProcess, tokenOf } from '../../centre/process.ts';

/** Hosts by number of their service and of the instance, from 0. */
export type Host = readonly [service: number, instance: number];

/** Agents that share a pool of connections to one centre, and what it answered them. */
export class Agents {
  readonly statuses = new Map<number, number>();
  /** Milliseconds from request to answer. */
  readonly latencies: number[] = [];
  sent = 0;
  readonly #pool: Pool;
  readonly #pending = new Set<Promise<unknown>>();
  /** Of a report: each is greater than any before it. */
  #sequence = Date.now() * 1000;

  constructor(centre: CentreProcess, connections: number) {
    this.#pool = new Pool(centre.url, { connections, pipelining: 1 });
  }

  /** One report on three instances of each service, and on those that the agent keeps away from. */
  async sync(agent: string, services: readonly number[], listed: readonly Host[]): Promise<SyncAnswer> {
    const seen = (service: number, instance: number, errors: number) => ({
      service: `s${service}`,
      host: addressOf(service, instance),
      requests: 200,
      errors,
      listed: errors > 100,
    });
    const hosts = [
      ...services.flatMap((service) => [0, 1, 2].map((instance) => seen(service, instance, 2))),
      ...listed.map(([service, instance]) => seen(service, instance, 150)),
    ];
    const names = services.map((one) => `s${one}`);
    const report = { sequence: ++this.#sequence, since: 0, services: names, hosts };
    this.sent++;
    const began = performance.now();
    const { statusCode, body } = await this.#post(agent, '/v1/sync', report);
    const answer = (await body.json()) as SyncAnswer;
    this.latencies.push(performance.now() - began);
    this.#count(statusCode);
    return answer;
  }

  /** The same without waiting; what does not arrive counts as status 0. */
  begin(agent: string, services: readonly number[], listed: readonly Host[]): void {
    const one = this.sync(agent, services, listed).catch(() => this.#count(0));
    this.#pending.add(one);
    void one.finally(() => this.#pending.delete(one));
  }

  /** An operator's order that an instance be isolated. */
  async order(instance: string): Promise<void> {
    const { statusCode, body } = await this.#post('operator', '/v1/isolations', {
      sequence: ++this.#sequence,
      instance,
      isolated: true,
      force: true,
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(text);
  }

  async close(): Promise<void> {
    await Promise.all(this.#pending);
    await this.#pool.destroy();
  }

  #post(identity: string, path: string, body: object): Promise<Dispatcher.ResponseData> {
    const headers = { authorization: `Bearer ${tokenOf(identity)}` };
    return this.#pool.request({ method: 'POST', path, headers, body: JSON.stringify(body) });
  }

  #count(status: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }
}

/** An open loop: so many agents by number, each at its own moment of the period. */
export class Round {
  readonly #first: number;
  readonly #count: number;
  readonly #periodMs: number;
  #turn = 0;

  constructor(first: number, count: number, periodMs: number) {
    this.#first = first;
    this.#count = count;
    this.#periodMs = periodMs;
  }

  /** Lets those come whose moment has passed, `ms` after the first. */
  advance(ms: number, come: (agent: number) => void): void {
    const due = Math.floor((ms * this.#count) / this.#periodMs);
    for (; this.#turn < due; this.#turn++) come(this.#first + (this.#turn % this.#count));
  }
}
