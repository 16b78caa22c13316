import { readRecord } from '../apply/record.ts';
import { hopsOf, isHop } from '../bookinfo/hop.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { type DriveAnswer, type DriveRequest, driveOpen } from '../drive/drive.ts';

export interface DriveCommandOptions extends GlobalOptions {
  readonly rate: number;
  readonly duration: number;
  readonly path: string;
  readonly header: readonly string[];
  readonly post?: number;
  readonly target?: string;
}

/** `causeway drive`: traffic at a fixed rate; failures, latency, and which instances the applications say they were. */
export async function drive(options: DriveCommandOptions, output: Output): Promise<void> {
  const target = options.target ?? firstGateway(options);
  const headers = Object.fromEntries(options.header.map(splitHeader));
  const paths = new Map<string, number>();
  const note = (answer: DriveAnswer) => {
    const key = pathOf(answer);
    paths.set(key, (paths.get(key) ?? 0) + 1);
  };
  const posts = options.post ?? 0;
  const report = await interruptible((signal) =>
    driveOpen({
      target,
      rate: options.rate,
      durationMs: options.duration * 1000,
      signal,
      next: (n) => requestOf(n, posts, options.path, headers),
      judge: (answer) => {
        note(answer);
        if (answer.status === 0) return `no answer: ${answer.error ?? ''}`;
        return answer.status < 400 ? null : `status ${answer.status}`;
      },
    }),
  );
  const routes = [...paths].sort((a, b) => b[1] - a[1]).slice(0, 50);
  output.result(
    [
      `${report.sent} requests in ${(report.elapsedMs / 1000).toFixed(1)} s: ${report.failed} failed, ${report.notSent} not sent`,
      `latency ms: p50 ${report.latency.p50}  p99 ${report.latency.p99}  max ${report.latency.max}`,
      ...Object.entries(report.failures).map(([why, count]) => `failed ${count}: ${why}`),
      ...routes.map(([route, count]) => `${String(count).padStart(7)}  ${route}`),
    ].join('\n'),
    { ...report, routes: Object.fromEntries(routes) },
  );
  if (report.failed > 0) process.exitCode = EXIT.failed;
}

/** `posts` of each hundred requests are POSTs, spread evenly. */
function requestOf(n: number, posts: number, path: string, headers: Readonly<Record<string, string>>): DriveRequest {
  const post = Math.floor(((n + 1) * posts) / 100) > Math.floor((n * posts) / 100);
  const all = { accept: 'application/json', ...headers };
  if (!post) return { method: 'GET', path, headers: all, kind: 'GET' };
  return { method: 'POST', path, headers: { ...all, 'content-type': 'application/json' }, body: '{}', kind: 'POST' };
}

/** The instances that served, as the applications say; proxies' own answers by status. */
function pathOf(answer: DriveAnswer): string {
  try {
    const { hop } = JSON.parse(answer.body) as { hop?: unknown };
    if (isHop(hop))
      return hopsOf(hop)
        .map(({ instance }) => instance)
        .join(' ');
  } catch {
    // No application answered.
  }
  return `(status ${answer.status})`;
}

function splitHeader(text: string): [string, string] {
  const at = text.indexOf(':');
  if (at < 1) throw new CommandError(EXIT.invalid, `--header: found ${JSON.stringify(text)}, expected "name: value"`);
  return [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()];
}

function firstGateway(options: GlobalOptions): string {
  const gateway = readRecord(stateFolder(options))?.mesh.gateways[0];
  if (!gateway) throw new CommandError(EXIT.state, 'no such mesh runs; name a --target, or `causeway up`');
  return `http://${gateway.address === '0.0.0.0' ? '127.0.0.1' : gateway.address}:${gateway.port}`;
}
