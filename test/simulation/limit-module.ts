import { readFile } from 'node:fs/promises';
import { type ASUtil, instantiateSync } from '@assemblyscript/loader';
import { compilePlugin } from '../support/compile-plugin.ts';

/** What policy/limit.ts exports; references are addresses, held by `__pin`. */
export interface LimitExports extends Record<string, unknown> {
  _initialize(): void;
  policy(interfaces: number, after: number): number;
  step(policy: number, window: number, level: number): void;
  limitOf(policy: number, i: number): number;
  window(interfaces: number): number;
  clear(window: number): void;
  shedLevel(window: number): number;
  count(window: number, i: number, which: number, value: number): void;
  countWhole(window: number, which: number, value: number): void;
  buckets(size: number, workers: number): number;
  limit(buckets: number, i: number, rate: number, now: number, full: boolean): void;
  has(buckets: number, i: number, now: number): number;
  take(buckets: number, i: number): number;
  own(buckets: number, i: number): number;
  charge(buckets: number, i: number, tokens: number): void;
  published(buckets: number): void;
}

/** Order of `Count` and `Whole` in filters/adaptive-rate-limit/window.ts. */
export const COUNT = { offered: 0, admitted: 1, done: 2, time: 3, queue: 4, queued: 5 } as const;
export const WHOLE = { open: 0, stress: 1, signal: 2, signals: 3, shed: 4 } as const;

/** The policies, instantiated by AssemblyScript's own loader. */
export async function loadLimitModule(): Promise<ASUtil & LimitExports> {
  const path = await compilePlugin('test/simulation/policy/limit.ts', { exportRuntime: true });
  const bytes = new Uint8Array(await readFile(path));
  const imports: Record<string, Record<string, unknown>> = {
    env: {
      proxy_log: (): never => {
        throw new Error('the policy module aborted');
      },
    },
  };
  const { exports } = instantiateSync<LimitExports>(bytes, imports);
  exports._initialize();
  return exports;
}
