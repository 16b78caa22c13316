import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { writeByRename } from '../apply/push.ts';
import type { DriverName } from '../apply/record.ts';
import { credentialsFile } from '../centre/tokens.ts';
import { ComposeDriver } from '../drivers/compose.ts';
import { COMPOSE_PREFIX } from '../drivers/compose-file.ts';
import type { Driver } from '../drivers/driver.ts';
import { ProcessDriver } from '../drivers/process.ts';
import { RemoteDriver } from '../drivers/remote.ts';
import { StateFolder } from '../drivers/state.ts';
import { startSupervisor, supervise } from '../drivers/supervisor.ts';
import { resolveEnvoy } from '../envoy/binary.ts';
import { keepFresh } from '../tls/renewal.ts';
import { ownCommand } from './assets.ts';

/** What a supervisor is to hold; it reads this from its state folder. */
export interface DriverSpec {
  readonly driver: DriverName;
  readonly mesh: string;
  readonly wasmPath: string;
  readonly bookinfo: string;
  /** Envoy binary; the process driver's alone. */
  readonly envoy: string;
  /** Subnet's first two octets; the compose driver's alone. */
  readonly prefix: string;
  /** Words that start the healing centre; the process driver's alone. Absent = it is not ours to start. */
  readonly centre?: readonly string[];
}

/** How the healing centre of a mesh is started; undefined when that is not ours to do. `file` is the configuration. */
export function centreCommand(
  { centre }: Mesh,
  file: string,
  network: string | undefined,
  state: StateFolder,
  program: readonly string[] = ownCommand(),
): string[] | undefined {
  if (!centre?.start) return undefined;
  const where = ['--address', centre.address, '--port', String(centre.port)];
  const elsewhere = network === undefined ? [] : ['--network', network];
  const files = ['--credentials', credentialsFile(state), '--deployment', state.root];
  return [...program, '--file', resolve(file), ...elsewhere, 'centre', ...where, ...files];
}

export function containerPrefix(driver: DriverName, network: string | undefined): string | undefined {
  return driver === 'compose' ? (network ?? COMPOSE_PREFIX) : undefined;
}

/** A driver in this process: everything ends with it. */
export function createDriver(spec: DriverSpec, state: StateFolder): Driver {
  if (spec.driver === 'compose') {
    const { wasmPath, bookinfo, prefix } = spec;
    return new ComposeDriver({ state, wasmPath, bookinfo, prefix, project: `causeway-${spec.mesh}` });
  }
  const { envoy, bookinfo, centre } = spec;
  return new ProcessDriver({ state, envoy, bookinfo, ...(centre ? { centre } : {}) });
}

export async function envoyFor(driver: DriverName, progress: (line: string) => void): Promise<string> {
  return driver === 'compose' ? '' : (await resolveEnvoy({ progress })).path;
}

/** A driver in a supervisor of its own, which outlives this command. */
export async function superviseDriver(spec: DriverSpec, state: StateFolder): Promise<RemoteDriver> {
  await state.create();
  await writeByRename(specPath(state), `${JSON.stringify(spec)}\n`);
  return startSupervisor([...ownCommand(), 'supervise', state.root], state);
}

/** Body of the hidden command `supervise <folder>`. */
export async function runSupervisor(folder: string): Promise<void> {
  const state = new StateFolder(folder);
  const spec = JSON.parse(readFileSync(specPath(state), 'utf8')) as DriverSpec;
  const ended = keepFresh(state, (line) => process.stdout.write(`${line}\n`));
  await supervise(createDriver(spec, state), state);
  ended();
}

/** The driver of a mesh that an earlier command left running. */
export function attachedDriver(state: StateFolder): Driver {
  return new RemoteDriver(state.supervisorSocket);
}

function specPath(state: StateFolder): string {
  return join(state.root, 'supervisor.json');
}
