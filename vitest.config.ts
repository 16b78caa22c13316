import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Envoy ends with the thread that spawned it (PR_SET_PDEATHSIG), so tests run in processes, not worker threads.
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
