import { open, stat } from 'node:fs/promises';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, realClock, waitUntil } from '../process/wait.ts';
import type { Edge } from './evidence.ts';

/** What a proxy says of one call that it passed on. */
export interface Claim {
  caller: string;
  service: string;
  wanted: string;
  served: string;
}

/** An application's edge with the lane that its request asked for: what the claims must say. */
export interface WantedEdge extends Edge {
  wanted: string;
}

/** A proxy whose claims are read: the caller's side of a call reports it. */
export interface Claimant {
  id: string;
  adminSocket: string;
  accessLog: string;
}

export type Snapshot = Map<string, ClaimState>;

interface ClaimState {
  counters: Map<string, number>;
  logSize: number;
}

const EDGE = /^wasmcustom\.causeway_lane_fallback_requests_total\.service\.(.+)\.wanted\.(.+)\.served\.(.+)$/;

/** Counters and access-log sizes of all proxies, to tell later what has been added. */
export async function snapshot(claimants: readonly Claimant[]): Promise<Snapshot> {
  const states = await Promise.all(
    claimants.map(async ({ id, adminSocket, accessLog }) => {
      const counters = await new EnvoyAdmin(adminSocket)
        .stats('^wasmcustom\\.causeway_lane_fallback_requests_total')
        .catch(() => new Map<string, number>());
      return [id, { counters, logSize: await size(accessLog) }] as const;
    }),
  );
  return new Map(states);
}

/** Longer than a counter waits in the filter (a tick) and a log line in Envoy. */
const SETTLED_MS = 1_300;

/** A snapshot taken when all that went before has been counted and logged. */
export async function settledSnapshot(claimants: readonly Claimant[], deadlineMs = 15_000): Promise<Snapshot> {
  let last = await snapshot(claimants);
  await realClock.sleep(SETTLED_MS);
  const look = async () => {
    const now = await snapshot(claimants);
    const same = print(now) === print(last);
    last = now;
    return same ? found(now) : notYet('counters still rise');
  };
  return waitUntil('quiet proxies', look, { deadlineMs, intervalMs: SETTLED_MS });
}

const print = (states: Snapshot) =>
  JSON.stringify([...states].map(([id, { counters, logSize }]) => [id, logSize, ...counters]));

/**
 * Calls counted since a snapshot, by `caller service wanted served`. Outsiders name the gateway in `Host` as they like,
 * so its calls are counted under `other`: that is the service behind it.
 */
export async function countedSince(
  claimants: readonly Claimant[],
  before: Snapshot,
  gatewayService: string,
): Promise<Map<string, number>> {
  const counted = new Map<string, number>();
  const now = await snapshot(claimants);
  for (const [id, { counters }] of now) {
    const then = before.get(id)?.counters;
    for (const [name, value] of counters) {
      const [, label = '', wanted = '', served = ''] = EDGE.exec(name) ?? [];
      const added = value - (then?.get(name) ?? 0);
      const service = label === 'other' ? gatewayService : label;
      if (service !== '' && added !== 0) counted.set(key({ caller: id, service, wanted, served }), added);
    }
  }
  return counted;
}

interface LogLine {
  role: string;
  trace: string | null;
  host: string;
  status: number;
  wanted: string | null;
  served: string | null;
}

/** What the proxies logged since a snapshot about calls that they made, by `caller service wanted served`. */
export async function loggedSince(
  claimants: readonly Claimant[],
  before: Snapshot,
  baseline: string,
  gatewayService: string,
): Promise<Map<string, number>> {
  const logged = new Map<string, number>();
  for (const { id, accessLog } of claimants) {
    for (const line of await linesSince(accessLog, before.get(id)?.logSize ?? 0)) {
      if (line.role === 'inbound') continue;
      const service = line.role === 'gateway' ? gatewayService : (line.host.split(':')[0] ?? '');
      const claim = { caller: id, service, wanted: line.wanted ?? baseline, served: line.served ?? 'none' };
      logged.set(key(claim), (logged.get(key(claim)) ?? 0) + 1);
    }
  }
  return logged;
}

export interface Agreement {
  /** Calls that the applications proved. */
  calls: number;
  /** Differences between the applications' evidence and each kind of claim; empty = they agree. */
  metrics: string[];
  headers: string[];
  accessLog: string[];
}

/**
 * Compares what the applications proved with what the proxies claim of the same calls. Nothing else may have run in
 * between: the counts must be equal, not merely large enough. Counters are handed over on a tick and logs are flushed
 * on an interval, so both get some time.
 */
export async function agreement(
  claimants: readonly Claimant[],
  before: Snapshot,
  proved: readonly WantedEdge[],
  { baseline, gatewayService, deadlineMs = 5_000 }: { baseline: string; gatewayService: string; deadlineMs?: number },
): Promise<Agreement> {
  const expected = tally(proved);
  const settle = async (what: string, read: () => Promise<Map<string, number>>): Promise<string[]> => {
    let last: string[] = [];
    const look = async () => {
      last = difference(expected, await read());
      return last.length === 0 ? found(last) : notYet(last.join('; '));
    };
    return waitUntil(what, look, { deadlineMs, intervalMs: 100 }).catch(() => last);
  };
  return {
    calls: proved.length,
    metrics: await settle('metrics', () => countedSince(claimants, before, gatewayService)),
    headers: proved.flatMap((edge) => toldWrong(edge, baseline)),
    accessLog: await settle('access log', () => loggedSince(claimants, before, baseline, gatewayService)),
  };
}

/** The response headers of a call that reached an application must name the same lanes. */
function toldWrong(edge: WantedEdge, baseline: string): string[] {
  if (!edge.told || edge.served === 'none') return [];
  const wanted = edge.told.wanted === '-' || edge.told.wanted === undefined ? baseline : edge.told.wanted;
  return wanted === edge.wanted && edge.told.served === edge.served
    ? []
    : [`${key(edge)}: header says wanted ${edge.told.wanted}, served ${edge.told.served}`];
}

function tally(proved: readonly WantedEdge[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const edge of proved) counts.set(key(edge), (counts.get(key(edge)) ?? 0) + 1);
  return counts;
}

export function difference(expected: ReadonlyMap<string, number>, claimed: ReadonlyMap<string, number>): string[] {
  const keys = new Set([...expected.keys(), ...claimed.keys()]);
  return [...keys].sort().flatMap((name) => {
    const [proved, said] = [expected.get(name) ?? 0, claimed.get(name) ?? 0];
    return proved === said ? [] : [`${name}: applications ${proved}, proxies ${said}`];
  });
}

const key = ({ caller, service, wanted, served }: Claim) => `${caller} → ${service} wanted ${wanted} served ${served}`;

async function linesSince(path: string, offset: number): Promise<LogLine[]> {
  const length = (await size(path)) - offset;
  if (length <= 0) return [];
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
    const whole = buffer.subarray(0, buffer.lastIndexOf(10) + 1).toString('utf8');
    return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LogLine]));
  } finally {
    await file.close();
  }
}

const size = (path: string) =>
  stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
