import { admittedLatency, due, goodput, isRefused, share } from '../../harness/overload/outcome.ts';
import type { Request } from '../../harness/overload/record.ts';

/** One point of a trial's course. */
export interface Point {
  /** Seconds since the step. */
  readonly at: number;
  /** Good answers per second. */
  readonly goodput: number;
  /** 99th percentile of what was let through, milliseconds; null where nothing was. */
  readonly p99: number | null;
  /** Share refused, 0 to 1. */
  readonly refused: number;
}

const WIDTH_MS = 250;

/** The course of a trial in quarters of a second, `step` milliseconds after its beginning being 0. */
export function series(requests: readonly Request[], step: number, endMs: number): Point[] {
  const points: Point[] = [];
  for (let from = 0; from + WIDTH_MS <= endMs; from += WIDTH_MS) {
    const span = { from, to: from + WIDTH_MS };
    const arrived = due(requests, span);
    const p99 = admittedLatency(arrived, 0.99);
    points.push({
      at: (from + WIDTH_MS / 2 - step) / 1_000,
      goodput: goodput(requests, span),
      p99: Number.isNaN(p99) ? null : p99,
      refused: arrived.length === 0 ? 0 : share(arrived, isRefused),
    });
  }
  return points;
}
