import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { type Child, startChild } from '../process/child.ts';
import { type Clock, found, GiveUp, notYet, waitUntil } from '../process/wait.ts';
import { EnvoyAdmin } from './admin.ts';

/** Linux keeps a Unix socket's path in 108 bytes, the last one NUL. */
const MAX_SOCKET_PATH = 107;

export interface EnvoyOptions {
  /** Shown in errors; also Envoy's log prefix. */
  name: string;
  /** The Envoy binary, see binary.ts. */
  binary: string;
  /** Bootstrap file (YAML or JSON). */
  config: string;
  /** The Unix socket that the bootstrap's `admin` section names. */
  adminSocket: string;
  logPath: string;
  /** Worker threads. Default 1. */
  concurrency?: number;
  /** Envoy log level. Default `warning`. */
  logLevel?: string;
  /** Further arguments, such as `--component-log-level wasm:info`. */
  args?: readonly string[];
  /** Milliseconds until `/ready` must answer. Default 20,000. */
  readyTimeoutMs?: number;
  clock?: Clock;
}

export interface Envoy {
  readonly name: string;
  readonly child: Child;
  readonly admin: EnvoyAdmin;
  stop(graceMs?: number): Promise<void>;
}

/**
 * Spawns one Envoy. Hot restart is switched off: it is what makes several Envoys of one host collide on a base id, and
 * what leaves shared memory behind. Without it Envoy does not end with its parent, either: see the drivers' guard.
 */
export async function spawnEnvoy(options: EnvoyOptions): Promise<Envoy> {
  if (Buffer.byteLength(options.adminSocket) > MAX_SOCKET_PATH) {
    throw new Error(`${options.name}: admin socket path is over ${MAX_SOCKET_PATH} bytes: ${options.adminSocket}`);
  }
  mkdirSync(dirname(options.adminSocket), { recursive: true });
  rmSync(options.adminSocket, { force: true });
  const child = await startChild({
    name: options.name,
    command: options.binary,
    args: [
      '--config-path',
      options.config,
      '--disable-hot-restart',
      '--concurrency',
      String(options.concurrency ?? 1),
      '--log-level',
      options.logLevel ?? 'warning',
      ...(options.args ?? []),
    ],
    logPath: options.logPath,
  });
  return {
    name: options.name,
    child,
    admin: new EnvoyAdmin(options.adminSocket),
    stop: async (graceMs) => {
      await child.stop(graceMs);
      rmSync(options.adminSocket, { force: true });
    },
  };
}

/** Waits until Envoy is live; a failure carries the log's tail. */
export async function envoyReady(envoy: Envoy, deadlineMs = 20_000, clock?: Clock): Promise<void> {
  try {
    await waitUntil(
      `${envoy.name}: Envoy ready`,
      async () => {
        const exit = envoy.child.exit();
        if (exit) throw new GiveUp(`${envoy.name}: Envoy ended (${exit.signal ?? `exit code ${exit.code}`})`);
        return (await envoy.admin.ready()) ? found(undefined) : notYet('/ready says not yet');
      },
      { deadlineMs, ...(clock ? { clock } : {}) },
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}\n--- ${envoy.child.logPath}\n${envoy.child.tail()}`);
  }
}

/**
 * Fails when Envoy, though live, has refused a file or a plugin: it would serve on without it, or answer 503. What it
 * said about it is in the error.
 */
export async function refusedNothing(envoy: Envoy): Promise<void> {
  const counters = await envoy.admin.stats('(update_rejected|config_fail|config_reload_error)$');
  const refused = [...counters].filter(([, value]) => value > 0).map(([name, value]) => `${name} ${value}`);
  if (refused.length === 0) return;
  const said = envoy.child
    .tail(400)
    .split('\n')
    .filter((line) => /\]\[(warning|error|critical)\]/.test(line));
  const own = said.filter((line) => line.includes('causeway: '));
  const why = (own.length > 0 ? own : said).slice(-6).join('\n');
  throw new Error(
    `${envoy.name}: Envoy refused its configuration (${refused.join(', ')})\n--- ${envoy.child.logPath}\n${why}`,
  );
}

/** Spawns one Envoy and waits until it is live; an Envoy that does not become ready is stopped before the error is thrown. */
export async function startEnvoy(options: EnvoyOptions): Promise<Envoy> {
  const envoy = await spawnEnvoy(options);
  try {
    await envoyReady(envoy, options.readyTimeoutMs, options.clock);
    return envoy;
  } catch (error) {
    await envoy.stop(500);
    throw error;
  }
}

/** What `envoy --mode validate` says: starts the VM and configures the filters too. */
export async function validateEnvoy(binary: string, config: string): Promise<{ ok: boolean; output: string }> {
  const args = ['--mode', 'validate', '--config-path', config, '--disable-hot-restart', '--log-level', 'warning'];
  try {
    const { stdout, stderr } = await promisify(execFile)(binary, args, { timeout: 60_000, maxBuffer: 16 << 20 });
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string; message: string };
    return { ok: false, output: (failed.stdout ?? '') + (failed.stderr ?? '') || failed.message };
  }
}
