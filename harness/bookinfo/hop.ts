/**
 * The evidence: which instance worked on a request, and what its calls returned. Every answer carries the hop of the
 * application that made it, with its callees' hops inside, so that a whole call tree comes back from the applications
 * themselves, which know nothing of lanes.
 */
export interface Hop {
  service: string;
  version: string;
  instance: string;
  /** The request id that this instance saw, by which proxies' logs name the same request; empty = none. */
  trace: string;
  calls: Call[];
}

export interface Call {
  service: string;
  method: string;
  path: string;
  /** HTTP status; 0 = no answer. */
  status: number;
  /** Milliseconds from sending to the whole answer. */
  ms: number;
  /** Extension headers (`x-…`) of the answer as this application got it, whoever added them. */
  headers: Record<string, string>;
  /** The callee's own evidence; absent when what answered was no application (a proxy's 503, or nothing). */
  hop?: Hop;
  /** Why there was no answer, or the first bytes of an answer that was not the application's. */
  error?: string;
}

/** The hops of a tree, callers before callees. */
export function hopsOf(root: Hop): Hop[] {
  return [root, ...root.calls.flatMap((call) => (call.hop ? hopsOf(call.hop) : []))];
}

/** The calls of a tree, outer before inner. */
export function callsOf(root: Hop): Call[] {
  return root.calls.flatMap((call) => [call, ...(call.hop ? callsOf(call.hop) : [])]);
}

/** True when a value has the shape of a hop; deeper levels are checked too. */
export function isHop(value: unknown): value is Hop {
  if (typeof value !== 'object' || value === null) return false;
  const hop = value as Partial<Hop>;
  return (
    typeof hop.service === 'string' &&
    typeof hop.version === 'string' &&
    typeof hop.instance === 'string' &&
    typeof hop.trace === 'string' &&
    Array.isArray(hop.calls) &&
    hop.calls.every((call) => typeof call.status === 'number' && (call.hop === undefined || isHop(call.hop)))
  );
}
