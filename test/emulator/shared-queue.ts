import { Status } from './status.ts';

interface Queue {
  readonly items: string[];
  /** Tells the receiver; the newest registration owns it. */
  ready: (token: number) => void;
}

/** Envoy's process-wide queues: unbounded, first in first out, one receiver each. */
export class SharedQueues {
  #tokens = new Map<string, number>();
  #queues = new Map<number, Queue>();

  /** Existing items stay; the receiver is replaced. */
  register(vmId: string, name: string, ready: (token: number) => void): number {
    const key = `${vmId}\0${name}`;
    const token = this.#tokens.get(key) ?? this.#tokens.size + 1;
    this.#tokens.set(key, token);
    const existing = this.#queues.get(token);
    if (existing === undefined) this.#queues.set(token, { items: [], ready });
    else existing.ready = ready;
    return token;
  }

  /** The token, or 0 when there is no such queue. */
  resolve(vmId: string, name: string): number {
    return this.#tokens.get(`${vmId}\0${name}`) ?? 0;
  }

  enqueue(token: number, item: string): Status {
    const queue = this.#queues.get(token);
    if (queue === undefined) return Status.NotFound;
    queue.items.push(item);
    queue.ready(token);
    return Status.Ok;
  }

  dequeue(token: number): string | Status {
    const queue = this.#queues.get(token);
    if (queue === undefined) return Status.NotFound;
    return queue.items.shift() ?? Status.Empty;
  }
}
