import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface WrkReport {
  requests: number;
  perSecond: number;
  /** Answers of 400 and above, and whatever was no answer. */
  failed: number;
}

/** Closed loop of `connections` keep-alive connections, for `seconds`. Needs `wrk` on the path. */
export async function wrk(url: string, host: string, connections: number, seconds: number): Promise<WrkReport> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-H', `Host: ${host}`, url];
  const { stdout } = await promisify(execFile)('wrk', args, { timeout: (seconds + 30) * 1_000 });
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0);
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([0-9.]+)/),
    failed: number(/Non-2xx or 3xx responses: (\d+)/) + sockets.reduce((sum, count) => sum + Number(count), 0),
  };
}
