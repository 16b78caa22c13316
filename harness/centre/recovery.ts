import { execFile } from 'node:child_process';
import { request } from 'undici';

/**
 * What brings a quarantined instance back: a command that the operator has allowed by naming it, run without a shell, or a
 * webhook. Both are off until `apply` says otherwise; a dry run reports what it would have done.
 */
export interface RecoveryOptions {
  /** Absolute path of the one program that may be run; its arguments are service, instance and host. */
  readonly command?: string;
  /** Asked by POST with `{service, instance, host}`. */
  readonly webhook?: string;
  readonly apply: boolean;
}

export interface Subject {
  readonly service: string;
  readonly instance: string;
  readonly host: string;
}

export type RecoveryOutcome = 'dry-run' | 'done' | 'failed';

const TIMEOUT_MS = 10_000;
/** Recoveries of one instance and of everything, in {@link RATE_WINDOW_MS}. */
export const PER_INSTANCE = 1;
export const IN_ALL = 5;
export const RATE_WINDOW_MS = 10 * 60_000;

export function describesNothing({ command, webhook }: RecoveryOptions): boolean {
  return command === undefined && webhook === undefined;
}

/** Never rejects. */
export async function recover(options: RecoveryOptions, subject: Subject): Promise<RecoveryOutcome> {
  if (!options.apply) return 'dry-run';
  try {
    if (options.command !== undefined) await run(options.command, subject);
    if (options.webhook !== undefined) await call(options.webhook, subject);
    return 'done';
  } catch {
    return 'failed';
  }
}

function run(command: string, { service, instance, host }: Subject): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { timeout: TIMEOUT_MS, shell: false, env: {}, maxBuffer: 64 * 1024 };
    execFile(command, [service, instance, host], options, (error) => (error ? reject(error) : resolve()));
  });
}

async function call(url: string, subject: Subject): Promise<void> {
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(subject),
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  });
  await body.dump();
  if (statusCode >= 400) throw new Error(`answered ${statusCode}`);
}
