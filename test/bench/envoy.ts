import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { startEnvoy } from '../../harness/envoy/launcher.ts';

/** Where the rig leaves bootstraps, logs and scripts. */
export const workDir = join(import.meta.dirname, '../../build/bench');

/** An Envoy whose threads can be measured. */
export interface MeasuredEnvoy {
  /** Ids of the worker threads. */
  workers(): number[];
  /** On-CPU nanoseconds of the worker threads so far: the scheduler's own accounting, not sampled. */
  workerCpuNs(): number;
  /** On-CPU nanoseconds of all threads so far. */
  processCpuNs(): number;
  /** Resident set, bytes. */
  residentBytes(): number;
  stop(): Promise<void>;
}

export interface MeasuredOptions {
  name: string;
  /** CPU list for `taskset`, e.g. "0". */
  cpus: string;
  /** Default 1. */
  concurrency?: number;
  /** Bootstrap without the admin section. */
  bootstrap: object;
}

const running = new Set<MeasuredEnvoy>();

/** Starts an Envoy on the given CPUs and waits until it is live. */
export async function startMeasured(options: MeasuredOptions): Promise<MeasuredEnvoy> {
  mkdirSync(workDir, { recursive: true });
  const file = (kind: string): string => join(workDir, `${options.name}.${kind}`);
  const adminSocket = file('admin');
  rmSync(file('log'), { force: true });
  const admin = { address: { pipe: { path: adminSocket, mode: 0o600 } } };
  writeFileSync(file('json'), JSON.stringify({ admin, ...options.bootstrap }, null, 1));
  const { path: binary } = await resolveEnvoy();
  const envoy = await startEnvoy({
    name: options.name,
    binary,
    config: file('json'),
    adminSocket,
    logPath: file('log'),
    concurrency: options.concurrency ?? 1,
    readyTimeoutMs: 60_000,
  });
  const { pid } = envoy.child;
  // Threads that V8 starts later inherit the mask.
  execFileSync('taskset', ['-apc', options.cpus, String(pid)], { stdio: 'ignore' });
  const measured: MeasuredEnvoy = {
    workers: () => threads(pid, isWorker),
    workerCpuNs: () => onCpuNs(pid, isWorker),
    processCpuNs: () => onCpuNs(pid, () => true),
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    stop: async () => {
      running.delete(measured);
      await envoy.stop(3_000);
    },
  };
  running.add(measured);
  return measured;
}

/** Stops every Envoy that is still running: after a failure, or on Ctrl-C. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((envoy) => envoy.stop()));
}

/** Runs a benchmark as the process's only work; whatever it has started ends with it, also by Ctrl-C. */
export async function runBenchmark(main: () => Promise<void>): Promise<never> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void stopAll().then(() => process.exit(130));
    });
  }
  try {
    await main();
  } finally {
    await stopAll();
  }
  // Sockets kept alive by the probes are nothing to wait for.
  process.exit();
}

function isWorker(threadName: string): boolean {
  return threadName.startsWith('wrk:worker');
}

function threads(pid: number, which: (threadName: string) => boolean): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((thread) => {
      try {
        return which(readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim());
      } catch {
        // Ended since it was listed.
        return false;
      }
    });
}

function onCpuNs(pid: number, which: (threadName: string) => boolean): number {
  let sum = 0;
  for (const thread of threads(pid, which)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return sum;
}
