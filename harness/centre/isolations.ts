import type { IsolationAnswer, IsolationOrder, IsolationState } from './api.ts';
import { MAX_VERDICT_MS } from './api.ts';
import type { Identity } from './credentials.ts';
import type { Metrics } from './metrics.ts';
import type { Probe } from './probe.ts';
import { Refusal } from './refusal.ts';
import type { KnownInstance, Roster } from './roster.ts';
import type { Isolation, Store } from './store.ts';

/**
 * Instances that operators take out of traffic by way of their agents. An agent's question is kept until there is something new,
 * so that an order is heard at once; what is heard holds for a minute, so that it ends with the centre.
 */

/** A question that has nothing new is answered after so long, less up to a fifth. */
const KEEP_MS = 20_000;
/** What is known of orders is as old as that at most: without the shared state nothing is said to hold. */
const STALE_MS = 5_000;
/** Others of a service that are asked whether they can take over. */
const MOST_ASKED = 8;

interface Question {
  readonly known: number;
  answer(): void;
}

export interface IsolationsOptions {
  readonly store: Store;
  readonly roster: Roster;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly probe: Probe;
  /** Hosts of a service that verdicts keep out. */
  readonly outByVerdict: (service: string) => ReadonlySet<string>;
}

export class Isolations {
  readonly #options: IsolationsOptions;
  #held: ReadonlyMap<string, Isolation> = new Map();
  #heldAt: number;
  /** One of each instance: a second one is answered for the first. */
  readonly #questions = new Map<string, Question>();

  constructor(options: IsolationsOptions) {
    this.#options = options;
    this.#heldAt = options.now();
  }

  /** Hosts of a service that are isolated by order. */
  hosts(service: string): Set<string> {
    const isolated = this.#options.roster.of(service).filter(({ instance }) => this.#isIsolated(instance));
    return new Set(isolated.map(({ host }) => host));
  }

  /** The last order on each instance. */
  list(): IsolationState[] {
    return [...this.#held.values()].map(stateOf);
  }

  /** @throws Refusal of a replay, and of what the bounds forbid; whatever the store throws when it is away */
  async order(identity: Identity, order: IsolationOrder): Promise<IsolationState> {
    const { store, roster, metrics, now } = this.#options;
    if (!(await store.accept(identity.name, order.sequence))) {
      metrics.count('refused_total', { reason: 'replay' });
      throw new Refusal(409, `sequence: found ${order.sequence}, expected a higher one than before`);
    }
    const named = roster.named(order.instance);
    if (named === undefined) {
      throw new Refusal(409, `instance: found ${order.instance}, expected one of the mesh's file`);
    }
    await this.refresh();
    if (order.isolated) await this.#check(named.service, named.known, order.force ?? false);
    const { instance, isolated } = order;
    const given = await store.isolate({ instance, isolated, by: identity.name.slice(0, 200), at: now() });
    metrics.count('orders_total', { order: isolated ? 'isolate' : 'release' });
    await this.refresh();
    return stateOf({ ...given, heard: 0 });
  }

  /**
   * What holds for an instance, as soon as it is something else than version `known`. @throws Refusal of others' instances;
   * Error while the store is away
   */
  async ask(identity: Identity, instance: string, known: number): Promise<IsolationAnswer> {
    const { store, roster, metrics, now } = this.#options;
    if (!identity.instances.has(instance)) {
      metrics.count('refused_total', { reason: 'instance' });
      throw new Refusal(403, `instance: found ${instance}, expected one that this credential is for`);
    }
    if (roster.named(instance) === undefined) {
      throw new Refusal(409, `instance: found ${instance}, expected one of the mesh's file`);
    }
    const before = this.#held.get(instance);
    if (before !== undefined && before.version === known && before.heard !== known) {
      await store.heard(instance, known);
      await this.refresh();
    }
    if ((this.#held.get(instance)?.version ?? 0) === known) await this.#keep(instance, known);
    if (now() - this.#heldAt > STALE_MS) throw new Error('the shared state cannot be reached');
    const { isolated = false, version = 0 } = this.#held.get(instance) ?? {};
    return { instance, isolated, version, expiresInMs: isolated ? MAX_VERDICT_MS : 0 };
  }

  /** Takes over what this or another replica has been told, and answers those who wait for it. */
  async refresh(): Promise<void> {
    const { store, metrics, now } = this.#options;
    const all = await store.isolations();
    this.#heldAt = now();
    this.#held = new Map(all.map((one) => [one.instance, one]));
    for (const [instance, { known, answer }] of this.#questions) {
      if ((this.#held.get(instance)?.version ?? 0) !== known) answer();
    }
    metrics.set('isolated', all.filter(({ isolated }) => isolated).length);
    metrics.set('questions', this.#questions.size);
  }

  /** Answers everybody who waits. */
  close(): void {
    for (const { answer } of this.#questions.values()) answer();
  }

  #isIsolated(instance: string): boolean {
    return this.#held.get(instance)?.isolated ?? false;
  }

  #keep(instance: string, known: number): Promise<void> {
    this.#questions.get(instance)?.answer();
    return new Promise((resolve) => {
      const question: Question = {
        known,
        answer: () => {
          clearTimeout(timer);
          if (this.#questions.get(instance) === question) this.#questions.delete(instance);
          resolve();
        },
      };
      const timer = setTimeout(question.answer, KEEP_MS * (0.8 + Math.random() * 0.2));
      this.#questions.set(instance, question);
    });
  }

  async #check(service: string, known: KnownInstance, force: boolean): Promise<void> {
    const { roster, metrics, probe, outByVerdict } = this.#options;
    const { instance, host, obeys } = known;
    if (!obeys) {
      metrics.count('spared_total');
      throw new Refusal(
        409,
        `instance: found ${instance}, which takes no orders from the centre, so that none can take all of ${service}`,
      );
    }
    if (force || this.#isIsolated(instance)) return;
    const out = new Set([...outByVerdict(service), ...this.hosts(service)]);
    const others = roster.of(service).filter((one) => one.host !== host && !out.has(one.host));
    const answers = others.slice(0, MOST_ASKED).map(async (one) => {
      // Whoever cannot be asked is taken for well: nobody has said anything else.
      if ((await probe(one)) === false) throw new Error('it does not answer');
    });
    try {
      await Promise.any(answers);
    } catch {
      metrics.count('spared_total');
      throw new Refusal(
        409,
        `instance: found ${instance}, the last usable one of ${service}; \`force\` isolates it all the same`,
      );
    }
  }
}

function stateOf({ instance, isolated, version, by, at, heard }: Isolation): IsolationState {
  return { instance, isolated, version, by, at, heard: heard >= version };
}
