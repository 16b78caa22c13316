import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import type { StateFolder } from '../drivers/state.ts';
import { alive } from '../process/child.ts';
import { writeByRename } from './push.ts';

export type DriverName = 'process' | 'compose';

/** What runs, kept in the state folder so that a later command knows it. */
export interface DeploymentRecord {
  readonly layout: 1;
  readonly driver: DriverName;
  /** The configuration file that was last applied, and its text. */
  readonly file: string;
  readonly text: string;
  /** Resolved, with the address of every instance. */
  readonly mesh: Mesh;
  /** The module in use. */
  readonly wasmPath: string;
  /** The agents' module. Absent = `wasmPath`: then it has never been replaced. */
  readonly agentWasmPath?: string;
}

export function recordPath(state: StateFolder): string {
  return join(state.root, 'deployment.json');
}

export function readRecord(state: StateFolder): DeploymentRecord | undefined {
  const path = recordPath(state);
  if (!existsSync(path)) return undefined;
  const record = JSON.parse(readFileSync(path, 'utf8')) as DeploymentRecord;
  if (record.layout !== 1) {
    throw new Error(
      `${path}: found layout ${String(record.layout)}, expected 1; end the mesh with the version that started it`,
    );
  }
  return record;
}

export async function writeRecord(state: StateFolder, record: DeploymentRecord): Promise<void> {
  await writeByRename(recordPath(state), `${JSON.stringify(record, null, 2)}\n`);
}

export function dropRecord(state: StateFolder): void {
  rmSync(recordPath(state), { force: true });
}

/** Runs the work while no other command changes this mesh. A lock whose holder is gone is taken over. */
export async function withLock<T>(state: StateFolder, work: () => Promise<T>): Promise<T> {
  const path = join(state.root, 'apply.lock');
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = Number(readFileSync(path, 'utf8').trim());
      if (attempt > 0 || (holder !== process.pid && alive(holder))) {
        throw new Error(`another command (process ${holder}) is changing this mesh; try again when it has ended`);
      }
      rmSync(path, { force: true });
    }
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
