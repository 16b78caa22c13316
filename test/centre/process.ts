import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../harness/centre/credentials.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface CentreFiles {
  readonly mesh: string;
  readonly credentials: string;
  /** State folder of the mesh. Default: none. */
  readonly deployment?: string;
}

export function tokenOf(agent: string): string {
  return `token-of-${agent}-${'0'.repeat(16)}`;
}

/** A mesh of so many services and instances, and a credential for each agent. */
export function writeFiles(dir: string, services: number, replicas: number, agents: readonly string[]): CentreFiles {
  const files = { mesh: join(dir, 'causeway.yaml'), credentials: join(dir, 'credentials.json') };
  const names = Array.from({ length: services }, (_, n) => `s${n}`);
  const entries = names.map(
    (name) => `  ${name}: { calls: [], command: [x], instances: { base: { replicas: ${replicas} } } }`,
  );
  writeFileSync(
    files.mesh,
    `mesh: centre\nbaseline: base\ncentre: {}\nisolation: {}\ngateways: [{ name: gateway, routes: [{ prefix: /, service: s0 }] }]\nservices:\n${entries.join('\n')}\n`,
  );
  const credentials = agents.map((identity) => ({ identity, role: 'agent', tokenSha256: sha256(tokenOf(identity)) }));
  const operator = { identity: 'operator', role: 'operator', tokenSha256: sha256(tokenOf('operator')) };
  writeFileSync(files.credentials, JSON.stringify({ credentials: [...credentials, operator] }));
  return files;
}

/** The address by which callers know instance `n` (from 0) of service number `service`. */
export function addressOf(service: number, n: number): string {
  return `127.0.${service + 1}.${n + 1}:9080`;
}

/** `causeway centre` as a process of its own. */
export class CentreProcess {
  readonly url: string;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.pid = child.pid ?? 0;
    this.#child = child;
  }

  static async start(files: CentreFiles, env: Record<string, string> = {}): Promise<CentreProcess> {
    const args = ['--import', 'tsx', 'harness/cli/main.ts', '-f', files.mesh, '--json', 'centre', '--port', '0'];
    const { credentials, deployment } = files;
    const more = deployment === undefined ? [] : ['--deployment', deployment];
    const child = spawn(process.execPath, [...args, '--credentials', credentials, ...more], {
      cwd: ROOT,
      env: { ...process.env, REDIS_URL: '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the centre ended while starting')));
    const [line] = (await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended])) as [Buffer];
    ended.catch(() => {});
    const { port } = JSON.parse(line.toString()) as { port: number };
    return new CentreProcess(`http://127.0.0.1:${port}`, child);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }
}
