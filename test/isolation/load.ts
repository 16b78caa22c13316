import { type DriveReport, driveOpen } from '../../harness/drive/drive.ts';

export interface MixedLoad {
  /** Default `/ratings/1`. */
  readonly path?: string;
  /** Headers of the n-th request, beside its content type. */
  readonly headers?: (n: number) => Readonly<Record<string, string>>;
  /** Begins the name of each POST. Default: the rate. */
  readonly name?: string;
}

/** So many requests a second to a gateway, 30 % of them POSTs with a name each, until `work` has ended. */
export async function underLoad(
  gateway: string,
  rate: number,
  work: () => Promise<void>,
  { path = '/ratings/1', headers = () => ({}), name = String(rate) }: MixedLoad = {},
): Promise<DriveReport> {
  const stop = new AbortController();
  const driving = driveOpen({
    target: gateway,
    rate,
    durationMs: 600_000,
    signal: stop.signal,
    next: (n) => {
      const request = { path, headers: { 'content-type': 'application/json', ...headers(n) } };
      if (n % 10 >= 3) return { ...request, method: 'GET', kind: 'GET' };
      return { ...request, method: 'POST', kind: 'POST', body: JSON.stringify({ post: `${name}-${n}` }) };
    },
  });
  try {
    await work();
  } finally {
    stop.abort();
  }
  return driving;
}
