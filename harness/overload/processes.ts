import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { AppChange, AppSettings } from './app.ts';
import type { LoadSecond } from './load.ts';
import { type LoadPlan, secondsOf } from './plan.ts';
import { type Request, readRecord } from './record.ts';

/** Milliseconds in which a program of the rig must be ready, and may take to end beyond its plan. */
const READY_MS = 10_000;
const END_MS = 15_000;

export interface RunningApp {
  readonly pid: number;
  change(change: AppChange): void;
  /** SIGSTOP or SIGCONT: the application stands still, its connections stay. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

export interface LoadResult {
  readonly requests: readonly Request[];
  /** By how much the generator was late at worst, milliseconds: above a few the machine was too busy to be believed. */
  readonly worstLagMs: number;
}

export interface LoadOptions {
  /** Called with every second that has passed. */
  readonly watch?: (second: LoadSecond) => void;
  /** Called when the first arrival is due. */
  readonly started?: () => void;
  readonly signal?: AbortSignal;
}

/** Starts the application. `script` is the built `overload.mjs`. */
export async function startApp(script: string, settings: AppSettings): Promise<RunningApp> {
  const { child, lines } = start(script, ['app', JSON.stringify(settings)]);
  await within(READY_MS, 'the application listens', child, lines.next());
  return {
    pid: child.pid ?? -1,
    change: (change) => child.stdin?.write(`${JSON.stringify(change)}\n`),
    signal: (signal) => child.kill(signal),
    stop: () => end(child),
  };
}

/** Runs a load to its end; the record goes through `file`. */
export async function runLoad(
  script: string,
  plan: LoadPlan,
  file: string,
  options: LoadOptions = {},
): Promise<LoadResult> {
  const { child, lines } = start(script, ['load', JSON.stringify(plan), file]);
  const abort = (): void => void end(child);
  options.signal?.addEventListener('abort', abort);
  try {
    await within(READY_MS, 'the load generator is ready', child, lines.next());
    child.stdin?.write('go\n');
    options.started?.();
    let worstLagMs = Number.NaN;
    const follow = async (): Promise<void> => {
      for await (const line of lines) {
        const said = JSON.parse(line) as LoadSecond | { worstLagMs: number };
        if ('worstLagMs' in said) worstLagMs = said.worstLagMs;
        else options.watch?.(said);
      }
    };
    await within(secondsOf(plan) * 1_000 + END_MS, 'the load ends', child, follow());
    if (Number.isNaN(worstLagMs)) throw new Error('the load generator ended before its plan');
    return { requests: readRecord(file), worstLagMs };
  } finally {
    options.signal?.removeEventListener('abort', abort);
    await end(child);
  }
}

function start(script: string, args: readonly string[]): { child: ChildProcess; lines: AsyncGenerator<string> } {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  child.stdin?.on('error', () => {});
  return { child, lines: linesOf(child) };
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  if (child.stdout) yield* createInterface({ input: child.stdout });
}

async function within<T>(ms: number, what: string, child: ChildProcess, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  const died = new Promise<never>((_, reject) => child.once('error', reject));
  try {
    return await Promise.race([work, late, died]);
  } finally {
    clearTimeout(timer);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGCONT');
  child.kill('SIGKILL');
  await exited;
}
