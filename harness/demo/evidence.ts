import type { Mesh } from '../../envoy-configs/mesh.ts';
import type { Call, Hop } from '../bookinfo/hop.ts';

/** Where each instance belongs; the applications do not know it, the mesh does. */
export type LaneOf = (instance: string) => string;

/** Lanes by the running mesh's instances; `?` for an instance that is in none. */
export function laneLookup(mesh: Mesh): LaneOf {
  const lanes = new Map(mesh.services.flatMap(({ instances }) => instances.map(({ id, lane }) => [id, lane])));
  return (instance) => lanes.get(instance) ?? '?';
}

/**
 * The hops of a call tree in the notation of the story, callers before callees: `reviews:dev2` = answered by an instance
 * of lane dev2, `reviews!503` = no application answered, this status came back.
 */
export function notation(hop: Hop, laneOf: LaneOf): string[] {
  return [`${hop.service}:${laneOf(hop.instance)}`, ...hop.calls.flatMap((call) => callNotation(call, laneOf))];
}

function callNotation(call: Call, laneOf: LaneOf): string[] {
  return call.hop && call.status < 500 ? notation(call.hop, laneOf) : [`${call.service}!${call.status}`];
}

/** The same for people: `productpage v1 (base) → [details v1 (base), reviews v3 (dev2) → ratings v1 (base)]`. */
export function picture(hop: Hop, laneOf: LaneOf): string {
  const own = `${hop.service} ${hop.version} (${laneOf(hop.instance)})`;
  const calls = hop.calls.map((call) => (call.hop ? picture(call.hop, laneOf) : `${call.service} ✗ ${call.status}`));
  if (calls.length === 0) return own;
  return `${own} → ${calls.length === 1 ? calls[0] : `[${calls.join(', ')}]`}`;
}

/** One call as the applications saw it, in the words in which the proxies report theirs. */
export interface Edge {
  /** Instance id, or the gateway's id. */
  caller: string;
  service: string;
  /** Lane of the instance that answered; `none` when no application did. */
  served: string;
  /** Request id that the caller had. */
  trace: string;
  status: number;
  /** What the proxies told the caller in response headers; absent at the gateway, whose answer goes to outsiders. */
  told?: { wanted: string | undefined; served: string | undefined };
}

export const WANTED_HEADER = 'x-causeway-wanted-lane';
export const SERVED_HEADER = 'x-causeway-served-lane';

/** The calls of a tree, with the one by which the gateway reached its root. */
export function edges(gateway: string, root: Hop, laneOf: LaneOf): Edge[] {
  const first = {
    caller: gateway,
    service: root.service,
    served: laneOf(root.instance),
    trace: root.trace,
    status: 200,
  };
  return [first, ...callEdges(root, laneOf)];
}

/** The same for a call that was made in the place of an instance's application, with the headers of its answer. */
export function askedEdges(
  caller: string,
  root: Hop,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  laneOf: LaneOf,
): Edge[] {
  const text = (name: string) => (headers[name] === undefined ? undefined : String(headers[name]));
  const [first, ...rest] = edges(caller, root, laneOf);
  if (!first) return [];
  return [{ ...first, told: { wanted: text(WANTED_HEADER), served: text(SERVED_HEADER) } }, ...rest];
}

function callEdges(hop: Hop, laneOf: LaneOf): Edge[] {
  return hop.calls.flatMap((call) => [
    {
      caller: hop.instance,
      service: call.service,
      served: call.hop ? laneOf(call.hop.instance) : 'none',
      trace: hop.trace,
      status: call.status,
      told: { wanted: call.headers[WANTED_HEADER], served: call.headers[SERVED_HEADER] },
    },
    ...(call.hop ? callEdges(call.hop, laneOf) : []),
  ]);
}

/**
 * Which lane must serve a service for a tag when every instance is well: the first lane of the tag's chain that has an
 * instance; null when the chain has none.
 */
export function expectedLane(mesh: Mesh, tag: string, service: string): string | null {
  const lane = mesh.lanes.find(({ name }) => name === tag);
  const chain = lane ? [lane.name, ...lane.chain] : [mesh.baseline];
  const has = (name: string) =>
    mesh.services.find((candidate) => candidate.name === service)?.instances.some((instance) => instance.lane === name);
  return chain.find(has) ?? null;
}

/** Hops of a tree that are not where the tag's chain says, each as `reviews: dev1 instead of base`. */
export function wrongHops(mesh: Mesh, tag: string, root: Hop, laneOf: LaneOf): string[] {
  const own = laneOf(root.instance);
  const right = expectedLane(mesh, tag, root.service);
  const below = root.calls.flatMap((call) => (call.hop ? wrongHops(mesh, tag, call.hop, laneOf) : []));
  return own === right ? below : [`${root.service}: ${own} instead of ${right}`, ...below];
}

/** Calls of a tree that did not get an application's 200. */
export function failedCalls(root: Hop): string[] {
  return root.calls.flatMap((call) => [
    ...(call.status === 200 && call.hop ? [] : [`${call.service}: status ${call.status}`]),
    ...(call.hop ? failedCalls(call.hop) : []),
  ]);
}
