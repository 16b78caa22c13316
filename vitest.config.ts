import { defineConfig } from 'vitest/config';

/** Tests that start Envoys, applications or containers: one file at a time, so that they do not starve each other. */
const ON_ENVOY = ['test/e2e/**/*.test.ts', 'test/compose/**/*.test.ts', 'test/sdk/**/*.envoy.test.ts'];
/** Those of them that judge what is answered and not how soon, on loopback addresses of their own: two at a time. */
const IN_PAIRS = [
  ...[
    'apply',
    'apply-cli',
    'degradation',
    'event-isolation',
    'fuzz-headers',
    'healing-centre',
    'isolation',
    'lane-fallback',
    'lane-fallback-retries',
    'lane-fallback-steering',
    'lane-tagging',
    'load-balancing',
    'lossless',
    'process-driver',
    'protocols',
    'sharding',
    'story-filters',
    'story-trapped',
    'tls-access',
    'topology',
    'trace-context',
    'trace-propagation',
    'uninstall',
    'upgrade',
  ].map((name) => `test/e2e/${name}.test.ts`),
  'test/compose/**/*.test.ts',
  'test/sdk/**/*.envoy.test.ts',
];
/** Tests that need Istio's control plane, or the reference rate-limit service, which take minutes to build the first time. */
const ON_ISTIO = ['test/istio/**/*.test.ts'];
const ON_RATELIMIT = ['test/ratelimit/**/*.test.ts'];

const shared = {
  // Tests end what they started by pid: a worker is a process. Loading everything anew for each file would take minutes.
  pool: 'forks' as const,
  isolate: false,
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
          exclude: [...ON_ENVOY, ...ON_ISTIO, ...ON_RATELIMIT],
          testTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'pairs',
          include: IN_PAIRS,
          testTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...shared,
          name: 'envoy',
          include: ON_ENVOY,
          exclude: IN_PAIRS,
          testTimeout: 300_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...shared,
          name: 'ratelimit',
          include: ON_RATELIMIT,
          testTimeout: 300_000,
          sequence: { groupOrder: 3 },
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
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
