import type {
  HostReport,
  IsolationAnswer,
  IsolationOrder,
  IsolationState,
  SyncRequest,
} from '../../harness/centre/api.ts';
import { Centre, type CentreOptions } from '../../harness/centre/centre.ts';
import type { Identity } from '../../harness/centre/credentials.ts';
import type { RecoveryOptions } from '../../harness/centre/recovery.ts';
import type { Store } from '../../harness/centre/store.ts';

export const hostOf = (n: number) => `127.0.3.${n}:9080`;
const SERVICES = { reviews: 10, ratings: 3, alone: 1 };

/** A centre with a clock and instances of its own; agents are names. */
export class Hall {
  now = Date.now();
  readonly sick = new Set<string>();
  /** Those that the centre has no means to probe. */
  readonly unasked = new Set<string>();
  readonly centre: Centre;
  readonly store: Store;
  #sequence = 0;

  constructor(store: Store, recovery: RecoveryOptions = { apply: false }, id = 'one') {
    this.store = store;
    const options: CentreOptions = {
      store,
      recovery,
      id,
      now: () => this.now,
      probe: ({ host }) => Promise.resolve(this.unasked.has(host) ? null : !this.sick.has(host)),
      instances: new Map(
        Object.entries(SERVICES).map(([service, count]) => [
          service,
          Array.from({ length: count }, (_, n) => ({
            host: hostOf(n + 1),
            instance: `${service}-base-${n + 1}`,
            healthPath: '/health',
            tls: null,
            obeys: n > 0,
          })),
        ]),
      ),
    };
    this.centre = new Centre(options);
  }

  static agent(name: string, services: readonly string[] | null = null): Identity {
    return { name, role: 'agent', services: services && new Set(services), instances: new Set([name]) };
  }

  /** An order of the operator. */
  order(instance: string, isolated = true, rest: Partial<IsolationOrder> = {}): Promise<IsolationState> {
    const operator: Identity = { name: 'ops', role: 'operator', services: null, instances: new Set() };
    this.#sequence++;
    const sequence = this.now * 1000 + this.#sequence;
    return this.centre.isolations.order(operator, { sequence, instance, isolated, ...rest });
  }

  /** A question of the instance's agent. */
  question(instance: string, known = 0, identity = Hall.agent(instance)): Promise<IsolationAnswer> {
    return this.centre.isolations.ask(identity, instance, known);
  }

  /** A report of `agent` on hosts of a service. */
  report(agent: string, listed: readonly number[], good: readonly number[] = [], service = 'reviews') {
    const row = (n: number, bad: boolean): HostReport => ({
      service,
      host: hostOf(n),
      requests: 100,
      errors: bad ? 60 : 0,
      listed: bad,
    });
    const hosts = [...listed.map((n) => row(n, true)), ...good.map((n) => row(n, false))];
    return this.sync(agent, { services: [service], hosts });
  }

  sync(agent: string, request: Partial<SyncRequest>, identity = Hall.agent(agent)) {
    this.#sequence++;
    return this.centre.sync(identity, {
      sequence: this.now * 1000 + this.#sequence,
      since: 0,
      services: ['reviews'],
      hosts: [],
      ...request,
    });
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      this.now += 500;
      await this.centre.tick();
    }
  }

  /** Hosts that are to be kept away from. */
  out(): string[] {
    return this.centre
      .list()
      .filter(({ verdict }) => verdict !== 'ok')
      .map(({ host }) => host)
      .sort();
  }
}
