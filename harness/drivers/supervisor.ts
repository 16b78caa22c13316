import { spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { tailOf } from '../process/child.ts';
import { found, GiveUp, notYet, waitUntil } from '../process/wait.ts';
import type { Driver, NodePlan, Part } from './driver.ts';
import { DRIVER_METHODS, type DriverCall, type DriverReply, RemoteDriver } from './remote.ts';
import type { StateFolder } from './state.ts';

/**
 * Holds a driver's processes when the command that started them has ended: Envoy ends with the thread that spawned it.
 * Ends after `down`, by SIGTERM, SIGINT or SIGHUP, or by the given signal, and takes every process with it.
 */
export async function supervise(driver: Driver, state: StateFolder, signal?: AbortSignal): Promise<void> {
  await state.create();
  rmSync(state.supervisorSocket, { force: true });
  let ended: () => void = () => {};
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });

  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const call = JSON.parse(Buffer.concat(chunks).toString('utf8')) as DriverCall;
      try {
        const result = await perform(driver, call, (line) => reply(outgoing, { progress: line }));
        reply(outgoing, { result: result ?? null });
      } catch (error) {
        reply(outgoing, { error: error instanceof Error ? error.message : String(error) });
      }
      outgoing.end(() => {
        if (call.method === 'down') ended();
      });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(state.supervisorSocket, resolve);
  });
  const names = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  const end = () => ended();
  for (const name of names) process.on(name, end);
  signal?.addEventListener('abort', end);
  await state.remember('supervisor', process.pid, 'supervise');
  await over;
  await driver.down();
  for (const name of names) process.off(name, end);
  server.close();
  rmSync(state.supervisorSocket, { force: true });
  await state.tidy();
  state.forget('supervisor');
}

function reply(outgoing: ServerResponse, message: DriverReply): void {
  outgoing.write(`${JSON.stringify(message)}\n`);
}

async function perform(
  driver: Driver,
  { method, args }: DriverCall,
  progress: (line: string) => void,
): Promise<unknown> {
  if (!DRIVER_METHODS.includes(method)) throw new Error(`no operation ${JSON.stringify(method)}`);
  const [first, part] = args as [string, Part];
  switch (method) {
    case 'up':
      return driver.up(args[0] as NodePlan[], progress);
    case 'start':
      return driver.start(args[0] as NodePlan);
    case 'kill':
    case 'pause':
    case 'resume':
      return driver[method](first, part);
    case 'stop':
    case 'revive':
    case 'journal':
      return driver[method](first);
    case 'ping':
      return null;
    case 'status':
    case 'down':
      return driver[method]();
  }
}

/**
 * Starts a supervisor that outlives this process. `command` is what runs {@link supervise} for this state folder, its
 * last words `supervise <folder>`, which later also prove that a remembered pid is still the supervisor.
 */
export async function startSupervisor(command: readonly string[], state: StateFolder): Promise<RemoteDriver> {
  await state.create();
  const logPath = join(state.root, 'supervisor.log');
  const log = openSync(logPath, 'a');
  const [program = '', ...args] = command;
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  child.once('exit', (code, signal) => {
    failure = `ended (${signal ?? `exit code ${code}`})`;
  });
  child.unref();
  const driver = new RemoteDriver(state.supervisorSocket);
  return waitUntil(
    'supervisor',
    async () => {
      if (failure !== undefined) throw new GiveUp(`supervisor: ${failure}\n${tailOf(logPath, 20)}`);
      return (await isSupervised(state)) ? found(driver) : notYet('its socket does not answer');
    },
    { deadlineMs: 20_000 },
  );
}

/** True when a supervisor answers for this state folder. */
export async function isSupervised(state: StateFolder): Promise<boolean> {
  return new RemoteDriver(state.supervisorSocket).ping();
}
