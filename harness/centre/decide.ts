import type { Row, Verdict } from './store.ts';

/** When the centre believes its agents. Pure: reports and the outcome of a probe in, a verdict or none out. */

/** Requests within the window by which an identity knows enough of a host to be asked. */
const KNOWING_REQUESTS = 20;
const QUORUM_SHARE = 0.3;
const OUT_SHARE = 0.3;

export interface Opinion {
  /** Identities that know the host. */
  readonly knowing: number;
  /** Of these, those that keep away from it. */
  readonly against: number;
}

export function opinion(rows: ReadonlyMap<string, Row>): Opinion {
  let knowing = 0;
  let against = 0;
  for (const { requests, listed } of rows.values()) {
    if (requests < KNOWING_REQUESTS) continue;
    knowing++;
    if (listed) against++;
  }
  return { knowing, against };
}

/** Enough of those who know it, and at least two: one alone may have a bad path to it. */
export function isQuorum({ knowing, against }: Opinion): boolean {
  return against >= Math.max(2, Math.ceil(knowing * QUORUM_SHARE));
}

/** Why the host is to be put out; undefined when it is not. `answers`: the centre's own probe, null when it was not asked. */
export function confirmed(seen: Opinion, answers: boolean | null): string | undefined {
  if (isQuorum(seen)) return `${seen.against} of ${seen.knowing} callers keep away from it`;
  if (seen.against >= 1 && answers === false)
    return `${seen.against} of ${seen.knowing} callers and the centre's probe`;
  return undefined;
}

/**
 * Whether one more host of a service may go out. `instances`: all its hosts. `out`: those that are out by a verdict or by the
 * judgement of several callers, counted once each.
 */
export function mayGoOut(host: string, instances: readonly string[], out: ReadonlySet<string>): boolean {
  const others = instances.filter((one) => one !== host && out.has(one)).length;
  const bound = Math.max(1, Math.floor(instances.length * OUT_SHARE));
  return others + 1 <= bound && others + 1 < instances.length;
}

/** Hosts of a service that a verdict keeps out. */
export function outByVerdict(service: string, verdicts: readonly Verdict[]): Set<string> {
  return new Set(verdicts.filter((one) => one.service === service && one.verdict !== 'ok').map(({ host }) => host));
}
