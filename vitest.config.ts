import { defineConfig } from 'vitest/config';

/** Tests that start Envoys, applications or containers: one file at a time, so that they do not starve each other. */
const ON_ENVOY = ['test/e2e/**/*.test.ts', 'test/compose/**/*.test.ts', 'test/sdk/**/*.envoy.test.ts'];
/** Tests that need Istio's control plane, which takes minutes to build the first time. */
const ON_ISTIO = ['test/istio/**/*.test.ts'];

const shared = {
  // Tests change directories, send signals and end what they started by pid: each file has a process of its own.
  pool: 'forks' as const,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    reporters: ['default', ['json', { outputFile: 'build/reports/vitest.json' }]],
    projects: [
      {
        test: {
          ...shared,
          name: 'module',
          maxWorkers: 2,
          include: ['test/**/*.test.ts'],
          exclude: [...ON_ENVOY, ...ON_ISTIO],
          testTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'envoy',
          include: ON_ENVOY,
          testTimeout: 300_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...shared,
          name: 'istio',
          include: ON_ISTIO,
          testTimeout: 300_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
