import { statSync } from 'node:fs';
import { join } from 'node:path';
import { readRecord } from '../apply/record.ts';
import type { StateFolder } from '../drivers/state.ts';
import type { Running } from './collector.ts';

/** The mesh that a state folder knows; the same object until it has changed. */
export function runningIn(state: StateFolder): () => Running | undefined {
  let known: Running | undefined;
  let changed = 0;
  return () => {
    // Every change of the mesh writes this file anew.
    const stats = statSync(join(state.root, 'deployment.json'), { throwIfNoEntry: false });
    if (stats === undefined) {
      known = undefined;
      changed = 0;
    } else if (stats.mtimeMs !== changed) {
      changed = stats.mtimeMs;
      known = read(state);
    }
    return known;
  };
}

function read(state: StateFolder): Running | undefined {
  const record = readRecord(state);
  if (record === undefined) return undefined;
  const { mesh, wasmPath } = record;
  const target = state.target(wasmPath);
  const ids = [
    ...mesh.gateways.map(({ id }) => id),
    ...mesh.services.flatMap(({ instances }) => instances.map(({ id }) => id)),
  ];
  return {
    mesh,
    nodes: ids.map((id) => ({ id, adminSocket: target.adminSocket(id), accessLog: target.accessLog(id) })),
  };
}
