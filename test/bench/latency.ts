import { driveOpen } from '../../harness/drive/drive.ts';
import { knownId, TRACE_IDS } from './load.ts';
import { AUTHORITY } from './profiles.ts';
import type { Case, Pinning } from './rig.ts';
import { teach } from './rounds.ts';
import { median } from './stats.ts';

export interface LatencyFigures {
  /** Milliseconds; the middle over the rounds. */
  p50: number;
  p99: number;
}

/** Latency of single requests at a fixed moderate rate, the cases in turn. Open loop: a stall counts for all that were due. */
export async function measureLatency(
  cases: readonly Case[],
  options: { rounds: number; seconds: number; rate: number; pinning: Pinning },
): Promise<Map<Case, LatencyFigures>> {
  const rounds = new Map(cases.map((one) => [one, { p50: [] as number[], p99: [] as number[] }]));
  for (let round = 0; round < options.rounds; round++) {
    for (const one of round % 2 === 0 ? cases : [...cases].reverse()) {
      await teach(one, options.pinning);
      const report = await driveOpen({
        target: one.url,
        rate: options.rate,
        durationMs: options.seconds * 1_000,
        next: (n) => ({
          method: 'GET',
          path: '/reviews/1',
          kind: 'GET',
          headers: { host: AUTHORITY, 'x-request-id': knownId(n % TRACE_IDS), 'end-user': 'dev1' },
        }),
      });
      if (report.failed > 0) throw new Error(`${one.variant.name}: ${report.failed} of ${report.sent} requests failed`);
      rounds.get(one)?.p50.push(report.latency.p50);
      rounds.get(one)?.p99.push(report.latency.p99);
    }
  }
  return new Map([...rounds].map(([one, { p50, p99 }]) => [one, { p50: median(p50), p99: median(p99) }]));
}
