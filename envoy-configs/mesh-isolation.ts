import type { JsonObject } from './mesh.ts';

/** The parts of the resolved model by which instances leave traffic and come back; see mesh.ts. */

/** An instance that goes on running without its traffic. */
export interface IsolatedInstance {
  readonly id: string;
  /** Which requests are kept out; null = all. */
  readonly match: JsonObject | null;
}

export interface Isolation {
  /** How long requests that were let in before may go on. */
  readonly drainSeconds: number;
  /** Callers that are let in for diagnosis. */
  readonly identities: readonly string[];
  readonly instances: readonly IsolatedInstance[];
}

/** How instances come and go without failing a request. */
export interface Lossless {
  /** How long after its start an instance takes its first request. */
  readonly delaySeconds: number;
  /** How long its share of the requests grows from then on; 0 = at once. */
  readonly warmUpMs: number;
  /** It can be told to go offline where and as EDAS tells it, too. */
  readonly edas: boolean;
}

/** A message broker that the instances of a service reach through their sidecars. */
export interface Broker {
  readonly name: string;
  /** Where the application connects, at its instance's address. */
  readonly port: number;
  /** Where the broker is: a host name or an address. */
  readonly host: string;
  readonly hostPort: number;
}
