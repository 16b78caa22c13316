import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface ChildSpec {
  /** Shown in errors. */
  name: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Both output streams are appended to this file. */
  logPath: string;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process we started: known by its pid, its output in a file, its end awaited by a promise that never rejects. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  readonly exited: Promise<Exit>;
  exit(): Exit | undefined;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM (after SIGCONT, so that a paused process can hear it), then SIGKILL once the grace time is over. */
  stop(graceMs?: number): Promise<Exit>;
  /** The log's last lines, for failure messages. */
  tail(lines?: number): string;
}

/**
 * Starts a process in a group of its own, so that a terminal's Ctrl-C reaches only us and we end the children in order.
 * Its standard input is a pipe that we never write: a child that wants to end with us ends when that pipe closes, which
 * happens even when we are killed.
 */
export async function startChild(spec: ChildSpec): Promise<Child> {
  mkdirSync(dirname(spec.logPath), { recursive: true });
  const log = openSync(spec.logPath, 'a');
  let process_: ChildProcess;
  try {
    process_ = spawn(spec.command, [...spec.args], {
      cwd: spec.cwd,
      env: { ...process.env, ...spec.env },
      stdio: ['pipe', log, log],
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  let over: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    process_.once('exit', (code, signal) => {
      over = { code, signal };
      resolve(over);
    });
  });
  await new Promise<void>((resolve, reject) => {
    process_.once('spawn', resolve);
    process_.once('error', (error) =>
      reject(new Error(`${spec.name}: cannot start ${spec.command}: ${error.message}`)),
    );
  });
  process_.stdin?.on('error', () => {});
  const pid = process_.pid;
  if (pid === undefined) throw new Error(`${spec.name}: started without a process id`);
  const child: Child = {
    name: spec.name,
    pid,
    logPath: spec.logPath,
    exited,
    exit: () => over,
    signal: (signal) => {
      if (!over) process_.kill(signal);
    },
    stop: async (graceMs = 3_000) => {
      if (over) return over;
      process_.kill('SIGCONT');
      process_.kill('SIGTERM');
      const kill = setTimeout(() => process_.kill('SIGKILL'), graceMs);
      const end = await exited;
      clearTimeout(kill);
      return end;
    },
    tail: (lines = 20) => tailOf(spec.logPath, lines),
  };
  return child;
}

/** The last lines of a log file, or a note that there is none. */
export function tailOf(path: string, lines: number): string {
  if (!existsSync(path)) return `(no log at ${path})`;
  const text = readFileSync(path, 'utf8').trimEnd();
  return text === '' ? `(${path} is empty)` : text.split('\n').slice(-lines).join('\n');
}

/** True when a process with this id exists (a zombie that its parent has not collected counts). */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
