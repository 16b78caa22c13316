import { afterAll, beforeAll } from 'vitest';
import { RedisStore } from '../../harness/centre/redis-store.ts';
import { MemoryStore, type Store } from '../../harness/centre/store.ts';
import { Redis, whyNoRedis } from './redis.ts';

/** Where a centre's state may be. Each store opened in memory or Redis is empty. */
export interface Stores {
  /** What can run on this machine. */
  readonly kinds: readonly StoreKind[];
  open(kind: StoreKind): Promise<Store>;
  /** A store that several centres of one test may share: every call opens the same one. */
  openShared(): Promise<Store>;
}

export type StoreKind = 'memory' | 'redis';

const SHARED = 15;

/** One Redis for the test file that asks, from its first test to its last. */
export function storesOfFile(): Stores {
  const missing = whyNoRedis();
  let redis: Redis | undefined;
  let database = 0;
  if (missing === null) {
    beforeAll(async () => {
      redis = await Redis.start();
    });
    afterAll(() => redis?.stop());
  }
  const connect = (at: number) => RedisStore.connect(`${redis?.url}/${at}`);
  return {
    kinds: missing === null ? ['memory', 'redis'] : ['memory'],
    open: async (kind) => (kind === 'memory' ? new MemoryStore() : connect(database++ % SHARED)),
    openShared: () => connect(SHARED),
  };
}
