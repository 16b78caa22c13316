import { type DriveRequest, driveClosed } from '../../drive/drive.ts';
import type { WantedEdge } from '../claims.ts';
import { edges, wrongHops } from '../evidence.ts';
import type { Scene } from '../scene.ts';
import { hopOf } from '../stage.ts';
import { wholeTree } from './judges.ts';

const REQUESTS = 20_000;
const CONCURRENCY = 32;

/** Lanes by the user who asks; nobody = the baseline. */
const USERS = ['', 'dev1', 'dev2', 'canary'] as const;

const PATHS = ['/productpage', '/api/v1/products/0', '/api/v1/products/0/reviews', '/api/v1/products/0/ratings'];

/** A fixed sequence of users, paths and methods without any order in it: the same requests in each run. */
export function mixedRequest(n: number): DriveRequest {
  const draw = (n * 2_654_435_761) % 4_294_967_296;
  const user = USERS[draw % USERS.length] ?? '';
  const path = PATHS[Math.floor(draw / 16) % PATHS.length] ?? '/productpage';
  const post = path.endsWith('s') && Math.floor(draw / 256) % 4 === 0;
  const headers = { accept: 'application/json', ...(user === '' ? {} : { 'end-user': user }) };
  const kind = user === '' ? 'base' : user;
  if (!post) return { method: 'GET', path, headers, kind };
  return {
    method: 'POST',
    path,
    headers: { ...headers, 'content-type': 'application/json' },
    kind,
    body: JSON.stringify({ post: `mixed-${n}` }),
  };
}

export const mixed: Scene = {
  number: 14,
  title: 'All lanes at once',
  shows: 'Mixed requests of four lanes, 32 at a time. Each hop of each request is where its lane says, and none fails.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  heavy: true,
  async play(stage, record) {
    const total = Math.round(REQUESTS / stage.scale);
    const { mesh, laneOf, gatewayId } = stage;
    const wrong = new Map<string, number>();
    let hops = 0;
    const report = await driveClosed({
      target: stage.url,
      total,
      concurrency: CONCURRENCY,
      next: mixedRequest,
      judge: (answer, { kind }) => {
        const hop = hopOf(answer.body);
        if (hop) {
          const seen: WantedEdge[] = edges(gatewayId, hop, laneOf).map((edge) => ({ ...edge, wanted: kind }));
          hops += seen.length;
          record.proved.push(...seen);
          for (const fault of wrongHops(mesh, kind, hop, laneOf)) wrong.set(fault, (wrong.get(fault) ?? 0) + 1);
        }
        return wholeTree(answer);
      },
    });
    const wrongTotal = [...wrong.values()].reduce((sum, count) => sum + count, 0);
    record.figure('requests', report.sent, 'requests');
    record.figure('hops', hops, 'hops');
    record.figure('hops in a wrong lane', wrongTotal, 'hops');
    record.figure('failed', report.failed, 'requests');
    record.figure('requests a second', (report.sent * 1_000) / Math.max(1, report.elapsedMs), '1/s');
    record.figure('latency, median', report.latency.p50, 'ms');
    record.figure('latency, 99th percentile', report.latency.p99, 'ms');
    record.check('no hop in a wrong lane', wrongTotal === 0 && hops >= total, Object.fromEntries(wrong));
    record.check('no request failed', report.failed === 0 && report.sent === total, report.failures);
    for (const [kind, { sent }] of Object.entries(report.kinds)) record.figure(`requests of ${kind}`, sent, 'requests');
  },
};
