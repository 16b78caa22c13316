import { request as httpRequest } from 'node:http';
import type { Json } from '../../envoy-configs/mesh.ts';
import { fieldName } from '../config/errors.ts';
import type { Document, Finding } from './finding.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 256 << 20;

/** Calls of an application without a trace that is known, out of all of its calls, from which on it counts as a mistake. */
const LEAK_SHARE = 0.01;

/** What a running Envoy says of itself. `url`: `http://127.0.0.1:15000` or `unix:/path/to/admin.sock`. */
export async function liveDocuments(url: string): Promise<{ documents: Document[]; findings: Finding[] }> {
  const dump = JSON.parse(await get(url, '/config_dump?include_eds')) as Json;
  const at = (path: readonly (string | number)[]) => `${url}/config_dump ${fieldName(path)}`;
  const stats = JSON.parse(await get(url, '/stats?format=json&filter=causeway_trace_propagation')) as {
    stats: { name?: string; value?: number }[];
  };
  return { documents: [{ group: url, root: dump, at }], findings: leaks(url, stats.stats) };
}

/** Calls that an application makes for a request without passing its trace header on. */
function leaks(url: string, stats: readonly { name?: string; value?: number }[]): Finding[] {
  const sum = (metric: string) =>
    stats.reduce(
      (total, { name = '', value = 0 }) =>
        name.includes(`causeway_trace_propagation_${metric}`) ? total + value : total,
      0,
    );
  const leaked = sum('leaked_total');
  const known = sum('hit_total') + sum('explicit_total') + sum('untagged_total');
  if (leaked === 0 || leaked < LEAK_SHARE * (leaked + known)) return [];
  return [
    {
      rule: 'trace-header',
      place: `${url}/stats`,
      field: 'causeway_trace_propagation_leaked_total',
      reason: `${leaked} calls of the application had no trace id, or one that never came in: it does not forward the trace header, so they leave their lane`,
      fix: 'forward the header of `trace.sources` on every call, or name one that the application forwards',
    },
  ];
}

function get(url: string, path: string): Promise<string> {
  const target = url.startsWith('unix:')
    ? { socketPath: url.slice('unix:'.length), path }
    : { host: new URL(url).hostname, port: new URL(url).port || 80, path };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const failed = (error: Error) => reject(new Error(`${url}${path}: ${error.message}`));
    const call = httpRequest({ ...target, agent: false, signal }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BYTES) call.destroy(new Error(`more than ${MAX_BYTES} bytes`));
        else chunks.push(chunk);
      });
      answer.on('error', failed);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else failed(new Error(`status ${answer.statusCode}`));
      });
    });
    call.on('error', failed);
    call.end();
  });
}
