import type { Order, SyncAnswer, SyncRequest, VerdictAnswer } from './api.ts';
import type { Identity } from './credentials.ts';
import { confirmed, isQuorum, mayGoOut, opinion, outByVerdict } from './decide.ts';
import { Isolations } from './isolations.ts';
import { Metrics } from './metrics.ts';
import { type Probe, probeWith } from './probe.ts';
import { describesNothing, IN_ALL, PER_INSTANCE, RATE_WINDOW_MS, type RecoveryOptions, recover } from './recovery.ts';
import { Refusal } from './refusal.ts';
import { type Instances, Roster } from './roster.ts';
import { boundedExpiry, type HostKey, type Store, type Verdict, type VerdictKind } from './store.ts';

/**
 * The healing centre without its door: takes reports, and twice a second the leading replica decides. It only ever speaks
 * of instances that the mesh's file names. Every verdict expires by itself, so that a dead centre freezes nothing.
 */

export interface CentreOptions {
  readonly store: Store;
  readonly instances: Instances;
  readonly recovery: RecoveryOptions;
  /** Unique among replicas. */
  readonly id: string;
  readonly now?: () => number;
  /** Default: without a certificate. */
  readonly probe?: Probe;
}

export const TICK_MS = 500;
const LEASE_MS = 3 * TICK_MS;
const QUARANTINE_MS = 30_000;
/** A quarantine that ends so soon is looked at again. */
const RENEW_MS = 5_000;
const ACQUITTAL_MS = 10_000;
/** Out for so long with a failing probe: time to bring it back by force. */
const RESTART_AFTER_MS = 15_000;
const PROBES_PER_TICK = 64;
const BUSY_MS = 2_000;
/** Within the window of agreement, so that those who have nothing against a host are heard as well. */
const QUIET_MS = 8_000;

export class Centre {
  readonly metrics = new Metrics();
  readonly isolations: Isolations;
  readonly #roster: Roster;
  readonly #options: CentreOptions;
  readonly #now: () => number;
  readonly #probe: Probe;
  #verdicts: readonly Verdict[] = [];
  #suspected: ReadonlySet<string> = new Set();

  constructor(options: CentreOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#probe = options.probe ?? probeWith(null);
    this.#roster = new Roster(options.instances);
    this.isolations = new Isolations({
      store: options.store,
      roster: this.#roster,
      metrics: this.metrics,
      now: this.#now,
      probe: this.#probe,
      outByVerdict: (service) => outByVerdict(service, this.#verdicts),
    });
  }

  /** The mesh has other instances from now on. */
  learn(instances: Instances): void {
    this.#roster.replace(instances);
  }

  /** @throws Refusal of a replay; whatever the store throws when it is away */
  async sync(identity: Identity, request: SyncRequest): Promise<SyncAnswer> {
    const { store } = this.#options;
    const now = this.#now();
    if (!(await store.accept(identity.name, request.sequence))) {
      this.metrics.count('refused_total', { reason: 'replay' });
      throw new Refusal(409, `sequence: found ${request.sequence}, expected a higher one than before`);
    }
    const rows = request.hosts.filter(
      ({ service, host, requests, errors }) =>
        errors <= requests && this.#mayUse(identity, service) && this.#roster.at(service, host) !== undefined,
    );
    const refused = request.hosts.length - rows.length;
    if (refused > 0) this.metrics.count('refused_total', { reason: 'row' }, refused);
    await store.put(identity.name, rows, now);
    this.metrics.count('reports_total');
    this.metrics.count('rows_total', {}, rows.length);
    const services = new Set(request.services.filter((service) => this.#mayUse(identity, service)));
    const concerned = this.#verdicts.filter((one) => services.has(one.service) && one.expires > now);
    const fresh = concerned.filter(({ version }) => version > request.since);
    const busy =
      concerned.length > 0 ||
      rows.some(({ listed }) => listed) ||
      [...services].some((service) => this.#suspected.has(service));
    return {
      version: Math.max(request.since, ...concerned.map(({ version }) => version)),
      verdicts: fresh.map((one) => answerOf(one, now)),
      refused,
      nextMs: Math.round((busy ? BUSY_MS : QUIET_MS) * (0.8 + Math.random() * 0.4)),
    };
  }

  list(): VerdictAnswer[] {
    const now = this.#now();
    return this.#verdicts.filter(({ expires }) => expires > now).map((one) => answerOf(one, now));
  }

  /** A verdict by hand. @throws Refusal of what the bounds forbid */
  async order(identity: Identity, order: Order): Promise<VerdictAnswer> {
    const { store } = this.#options;
    const now = this.#now();
    const all = this.#roster.of(order.service);
    if (!all.some(({ host }) => host === order.host)) {
      throw new Refusal(409, `host: found ${order.host}, expected an instance of ${order.service}`);
    }
    const verdicts = await store.verdicts(now);
    const out = this.#out(order.service, verdicts);
    const hosts = all.map(({ host }) => host);
    if (order.verdict === 'quarantine' && !mayGoOut(order.host, hosts, out)) {
      this.metrics.count('spared_total');
      throw new Refusal(409, `host: ${out.size} of ${hosts.length} are out already, more may not`);
    }
    const expires = boundedExpiry(now, (order.seconds ?? QUARANTINE_MS / 1000) * 1000);
    const given = await this.#give(order, order.verdict, expires, `by ${identity.name}`.slice(0, 200), now, undefined);
    this.#verdicts = await store.verdicts(now);
    return answerOf(given, now);
  }

  /** Decides where this replica leads, and takes over what has been decided. Rejects when the store is away. */
  async tick(): Promise<void> {
    const { store, id } = this.#options;
    const now = this.#now();
    await this.isolations.refresh();
    const suspects = (await store.suspects(now)).filter(({ service, host }) => this.#roster.at(service, host));
    this.#suspected = new Set(suspects.map(({ service }) => service));
    if (await store.lead(id, LEASE_MS, now)) await this.#decide(suspects, now);
    this.#verdicts = await store.verdicts(now);
    this.metrics.set('verdicts', this.#verdicts.filter(({ verdict }) => verdict !== 'ok').length);
  }

  async #decide(suspects: readonly HostKey[], now: number): Promise<void> {
    const { store } = this.#options;
    const verdicts = await store.verdicts(now);
    const opinions = new Map<string, ReturnType<typeof opinion>>();
    for (const key of suspects) opinions.set(`${key.service}|${key.host}`, opinion(await store.rows(key, now)));

    const out = new Map<string, Set<string>>();
    for (const { service } of [...suspects, ...verdicts]) out.set(service, this.#out(service, verdicts));
    // What several callers keep away from is out as well, verdict or not.
    for (const { service, host } of suspects) {
      const seen = opinions.get(`${service}|${host}`);
      if (seen && isQuorum(seen)) out.get(service)?.add(host);
    }
    const held = new Map(verdicts.map((one) => [`${one.service}|${one.host}`, one]));
    const fresh = suspects.filter(({ service, host }) => {
      const seen = opinions.get(`${service}|${host}`);
      const verdict = held.get(`${service}|${host}`)?.verdict ?? 'ok';
      return verdict === 'ok' && (seen?.against ?? 0) > 0;
    });
    const standing = verdicts.filter(({ verdict, expires, since }) => {
      if (verdict === 'ok') return false;
      return expires - now < RENEW_MS || (verdict === 'quarantine' && now - since >= RESTART_AFTER_MS);
    });
    const asked: readonly HostKey[] = [...standing, ...fresh].slice(0, PROBES_PER_TICK);
    const answers = new Map(
      await Promise.all(
        asked.map(async ({ service, host }) => {
          const known = this.#roster.at(service, host);
          const answered = known === undefined ? true : await this.#probe(known);
          this.metrics.count('probes_total', {
            result: answered === null ? 'not-asked' : answered ? 'answered' : 'failed',
          });
          return [`${service}|${host}`, answered] as const;
        }),
      ),
    );
    for (const key of fresh) await this.#convict(key, opinions, answers, out, now);
    for (const verdict of standing) await this.#review(verdict, answers.get(`${verdict.service}|${verdict.host}`), now);
  }

  async #convict(
    key: HostKey,
    opinions: ReadonlyMap<string, ReturnType<typeof opinion>>,
    answers: ReadonlyMap<string, boolean | null>,
    out: ReadonlyMap<string, Set<string>>,
    now: number,
  ): Promise<void> {
    const name = `${key.service}|${key.host}`;
    const seen = opinions.get(name);
    const reason = seen && confirmed(seen, answers.get(name) ?? null);
    if (reason === undefined) {
      this.metrics.count('unconfirmed_total');
      return;
    }
    const hosts = this.#roster.of(key.service).map(({ host }) => host);
    const others = out.get(key.service) ?? new Set<string>();
    if (!mayGoOut(key.host, hosts, others)) {
      this.metrics.count('spared_total');
      return;
    }
    others.add(key.host);
    await this.#give(key, 'quarantine', boundedExpiry(now, QUARANTINE_MS), reason, now, undefined);
  }

  /** A verdict that ends soon, or that has stood for long. */
  async #review(verdict: Verdict, answers: boolean | null | undefined, now: number): Promise<void> {
    if (answers === undefined || answers === null) return;
    if (answers) {
      if (verdict.expires - now >= RENEW_MS) return;
      await this.#give(verdict, 'ok', boundedExpiry(now, ACQUITTAL_MS), 'it answers the centre', now, undefined);
      return;
    }
    const restart = verdict.verdict === 'restart' || now - verdict.since >= RESTART_AFTER_MS;
    const kind = restart && !describesNothing(this.#options.recovery) ? 'restart' : 'quarantine';
    if (kind === verdict.verdict && verdict.expires - now >= RENEW_MS) return;
    const reason = "it fails the centre's probe";
    await this.#give(verdict, kind, boundedExpiry(now, QUARANTINE_MS), reason, now, verdict.since);
    if (kind === 'restart' && verdict.verdict !== 'restart') await this.#recover(verdict, now);
  }

  async #recover({ service, host }: HostKey, now: number): Promise<void> {
    const { store, recovery } = this.#options;
    const instance = this.#roster.at(service, host)?.instance;
    if (instance === undefined) return;
    const allowed =
      (await store.spend(`instance:${instance}`, PER_INSTANCE, RATE_WINDOW_MS, now)) &&
      (await store.spend('all', IN_ALL, RATE_WINDOW_MS, now));
    const result = allowed ? await recover(recovery, { service, instance, host }) : 'limited';
    this.metrics.count('recoveries_total', { result });
  }

  async #give(
    { service, host }: HostKey,
    verdict: VerdictKind,
    expires: number,
    reason: string,
    now: number,
    since: number | undefined,
  ): Promise<Verdict> {
    this.metrics.count('decisions_total', { verdict });
    return this.#options.store.decide({ service, host, verdict, expires, reason, since: since ?? now });
  }

  /** Hosts of a service that are out by a verdict, or isolated by order. */
  #out(service: string, verdicts: readonly Verdict[]): Set<string> {
    return new Set([...outByVerdict(service, verdicts), ...this.isolations.hosts(service)]);
  }

  #mayUse(identity: Identity, service: string): boolean {
    return this.#roster.has(service) && (identity.services === null || identity.services.has(service));
  }
}

function answerOf({ service, host, verdict, version, expires, reason }: Verdict, now: number): VerdictAnswer {
  return { service, host, verdict, version, expiresInMs: Math.max(0, expires - now), reason };
}
