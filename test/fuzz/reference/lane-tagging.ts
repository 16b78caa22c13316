import type { LaneTaggingConfig, Trust } from '../../../filters/lane-tagging/schema.ts';
import { identity, isInBlocks, matches } from './matcher.ts';
import { type Connection, type Counts, isTag, label, type RequestHeaders } from './request.ts';
import { type Source, stickyNumber } from './trace.ts';

const PREFIX = 'causeway_lane_tagging_';

export interface LocalReply {
  readonly status: number;
  readonly details: string;
}

/** What lane-tagging does to a request; the answer when it refuses it. */
export function tagRequest(
  config: LaneTaggingConfig,
  sources: readonly Source[],
  headers: RequestHeaders,
  connection: Connection,
  counts: Counts,
): LocalReply | undefined {
  const header = (config.tagHeader ?? 'x-asm-traffic-lane').toLowerCase();
  const incoming = headers.joined(header) ?? '';
  if (incoming !== '') {
    const believed = isBelieved(config.trust ?? 'none', connection);
    if (believed && isTag(incoming)) {
      counts.add(`${PREFIX}kept_total`);
      return undefined;
    }
    headers.remove(header);
    if (!believed) counts.add(`${PREFIX}untrusted_removed_total`);
    else {
      // No tag holds a comma: it tells of several values.
      counts.add(`${PREFIX}refused_total.reason.${incoming.includes(',') ? 'duplicate' : 'malformed'}`);
      if (config.failureMode === 'closed') return { status: 400, details: 'causeway_lane_tagging_refused' };
    }
  }
  const sticky = stickyNumber(headers, sources);
  for (const [number, rule] of (config.rules ?? []).entries()) {
    const name = rule.name ?? String(number);
    if (!matches(rule.match, { headers, connection, sticky }, name)) continue;
    headers.set(header, rule.lane);
    counts.add(`${PREFIX}tagged_total.rule.${label(name)}.lane.${label(rule.lane)}`);
    return undefined;
  }
  counts.add(`${PREFIX}untagged_total`);
  return undefined;
}

function isBelieved(trust: Trust, connection: Connection): boolean {
  if (trust === 'all' || trust === 'none') return trust === 'all';
  const { cidrs = [], identities = [] } = trust;
  const name = identity(connection);
  return isInBlocks(connection.sourceAddress, cidrs) || (name !== undefined && identities.includes(name));
}
