import type { Request } from './record.ts';

/** Figures of what callers saw. Times are milliseconds since the load began. */

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Answered in time and as asked. */
export function isGood({ status }: Request): boolean {
  return status >= 200 && status < 300;
}

/** Answered by the proxy in place of the application, or by a broken connection. */
export function isRefused(request: Request): boolean {
  return request.status !== 0 && !isGood(request);
}

/** Good answers per second that arrived within the span. */
export function goodput(requests: readonly Request[], { from, to }: Span): number {
  const good = requests.filter((one) => isGood(one) && one.at + one.tookMs >= from && one.at + one.tookMs < to);
  return (1_000 * good.length) / (to - from);
}

/** Those that were due within the span. */
export function due(requests: readonly Request[], { from, to }: Span): Request[] {
  return requests.filter(({ at }) => at >= from && at < to);
}

/** Share of them that holds, 0 to 1; NaN for none. */
export function share(requests: readonly Request[], holds: (request: Request) => boolean): number {
  return requests.filter(holds).length / requests.length;
}

/** The least number that the given share of the values do not exceed; NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Latency of what was let through, milliseconds: also of what its caller gave up. */
export function admittedLatency(requests: readonly Request[], quantileShare: number): number {
  const admitted = requests.filter((one) => !isRefused(one));
  return quantile(
    admitted.map(({ tookMs }) => tookMs),
    quantileShare,
  );
}

/** What has to be at the wanted rate at once, and the steps in which its beginning is looked for, milliseconds. */
const WINDOW_MS = 500;
const STEP_MS = 50;

/**
 * Milliseconds from `from` until goodput is, and on the whole stays, `wanted` per second: both the half second that begins then
 * and all the rest up to `to` have it. NaN when it never does.
 */
export function recoveredAfter(requests: readonly Request[], { from, to }: Span, wanted: number): number {
  const good = requests.filter(isGood).map(({ at, tookMs }) => at + tookMs);
  const rate = (begin: number, end: number): number =>
    (1_000 * good.filter((at) => at >= begin && at < end).length) / (end - begin);
  for (let at = from; at + WINDOW_MS <= to; at += STEP_MS) {
    if (rate(at, at + WINDOW_MS) >= wanted && rate(at, to) >= wanted) return at - from;
  }
  return Number.NaN;
}
