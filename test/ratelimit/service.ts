import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { whyNoRedis } from '../centre/redis.ts';
import { ROOT } from '../e2e/support.ts';
import { freePort } from '../support/free-port.ts';
import { noGo } from '../support/required.ts';

/** The reference rate-limit service as a process: built once from the version in `go.mod`, and kept in `build`. */

const SOURCES = join(ROOT, 'test/ratelimit');
const BINARY = join(ROOT, 'build/ratelimit');
const PACKAGE = 'github.com/envoyproxy/ratelimit/src/service_cmd';
/** The first build compiles gRPC and OpenTelemetry, too. */
const BUILD_TIMEOUT_MS = 15 * 60_000;

/** Why tests with the service cannot run here, or null; Go builds it. */
export function whyNoRateLimit(): string | null {
  return whyNoRedis() ?? (existsSync(BINARY) ? null : noGo());
}

/** Path of the service, built when the version has changed. */
async function binary(): Promise<string> {
  const newest = Math.max(...['go.mod', 'go.sum'].map((name) => statSync(join(SOURCES, name)).mtimeMs));
  if (existsSync(BINARY) && statSync(BINARY).mtimeMs >= newest) return BINARY;
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const aside = `${BINARY}.${process.pid}`;
  const args = ['-n', '19', 'go', 'build', '-p', '1', '-o', aside, PACKAGE];
  await promisify(execFile)('nice', args, { cwd: SOURCES, timeout: BUILD_TIMEOUT_MS, maxBuffer: 16 << 20 });
  renameSync(aside, BINARY);
  return BINARY;
}

export class RateLimitService {
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  /** `files` by name are its configuration; `redis` is `address:port`. Resolves when it takes connections. */
  static async start(
    listen: { readonly address: string; readonly port: number },
    redis: string,
    files: Readonly<Record<string, string>>,
  ): Promise<RateLimitService> {
    const path = await binary();
    const folder = mkdtempSync(join(tmpdir(), 'cw-ratelimit-'));
    mkdirSync(join(folder, 'config'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'config', name), text);
    const [http, debug] = [await freePort(), await freePort()];
    const child = spawn(path, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: String(http),
        DEBUG_HOST: '127.0.0.1',
        DEBUG_PORT: String(debug),
        GRPC_HOST: listen.address,
        GRPC_PORT: String(listen.port),
        BACKEND_TYPE: 'redis',
        REDIS_SOCKET_TYPE: 'tcp',
        REDIS_URL: redis,
        RUNTIME_ROOT: folder,
        RUNTIME_SUBDIRECTORY: '',
        RUNTIME_WATCH_ROOT: 'false',
        DISABLE_STATS: 'true',
        LOG_LEVEL: 'warn',
      },
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        log = (log + chunk.toString()).slice(-4_000);
      });
    }
    const service = new RateLimitService(child, folder);
    try {
      await waitUntil(
        'the rate-limit service',
        async () => {
          if (child.exitCode !== null) throw new Error(`the rate-limit service ended\n${log}`);
          return (await accepts(listen)) ? found(undefined) : notYet(log);
        },
        { deadlineMs: 30_000 },
      );
      return service;
    } catch (error) {
      await service.stop();
      throw error;
    }
  }

  /** Replaces a file of its configuration, which it follows. */
  write(name: string, text: string): void {
    writeFileSync(join(this.#folder, 'config', name), text);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function accepts({ address, port }: { readonly address: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
