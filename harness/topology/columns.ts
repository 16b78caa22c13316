import type { Mesh } from '../../envoy-configs/mesh.ts';

/** A call between services or from a gateway, by name. */
export type Call = readonly [caller: string, callee: string];

/** Calls that the configuration tells; services that say nothing of theirs tell none. */
export function declaredCalls(mesh: Mesh): Call[] {
  return [
    ...mesh.gateways.flatMap(({ id, routes }) => routes.map(({ service }): Call => [id, service])),
    ...mesh.services.flatMap(({ name, calls }) => (calls ?? []).map((callee): Call => [name, callee])),
  ];
}

/**
 * Names by their longest distance from a start, each column in the order given. Calls that would close a circle do not
 * count.
 */
export function columnsOf(names: readonly string[], calls: readonly Call[]): string[][] {
  const callees = new Map<string, Set<string>>(names.map((name) => [name, new Set()]));
  for (const [caller, callee] of calls) {
    if (caller !== callee && callees.has(callee)) callees.get(caller)?.add(callee);
  }
  const forward = withoutCircles(names, callees);
  const depth = new Map(names.map((name) => [name, 0]));
  // In an order in which every caller comes before its callees, one pass is enough.
  for (const caller of forward.order) {
    for (const callee of forward.callees.get(caller) ?? []) {
      depth.set(callee, Math.max(depth.get(callee) ?? 0, (depth.get(caller) ?? 0) + 1));
    }
  }
  const columns: string[][] = [];
  for (const name of names) {
    const column = depth.get(name) ?? 0;
    while (columns.length <= column) columns.push([]);
    columns[column]?.push(name);
  }
  return columns;
}

function withoutCircles(names: readonly string[], callees: ReadonlyMap<string, ReadonlySet<string>>) {
  const kept = new Map<string, string[]>();
  const state = new Map<string, 'open' | 'done'>();
  const order: string[] = [];
  const visit = (start: string) => {
    const stack = [{ name: start, left: [...(callees.get(start) ?? [])] }];
    state.set(start, 'open');
    kept.set(start, []);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const callee = top.left.shift();
      if (callee === undefined) {
        state.set(top.name, 'done');
        order.unshift(top.name);
        stack.pop();
      } else if (state.get(callee) !== 'open') {
        kept.get(top.name)?.push(callee);
        if (state.has(callee)) continue;
        state.set(callee, 'open');
        kept.set(callee, []);
        stack.push({ name: callee, left: [...(callees.get(callee) ?? [])] });
      }
    }
  };
  for (const name of names) if (!state.has(name)) visit(name);
  return { order, callees: kept };
}
