/** Configurations that the header fuzz runs under: together they use every matcher, trust mode and kind of rule. */
import type { ConnectionEliminationConfig } from '../../../filters/connection-elimination/schema.ts';
import type { LaneFallbackConfig } from '../../../filters/lane-fallback/schema.ts';
import type { LaneTaggingConfig } from '../../../filters/lane-tagging/schema.ts';
import type { SuiteConfig } from '../../../filters/schema.ts';
import type { Format } from '../trace-reference.ts';
import { EXPRESSION } from './matcher.ts';

export interface Scenario {
  readonly name: string;
  readonly tagHeader: string;
  /** Headers in which the generator puts trace ids. */
  readonly traceHeaders: readonly (readonly [header: string, format: Format])[];
  /** True: each role is one filter, by a `root_id` of its own name. */
  readonly alone?: boolean;
  /** Configuration by role; roles of one scenario share an Envoy. */
  readonly roles: Readonly<Partial<Record<'gateway' | 'outbound' | 'inbound', SuiteConfig>>>;
}

const LANES: LaneFallbackConfig['lanes'] = [
  { name: 'dev1' },
  { name: 'gold', mode: 'strict' },
  { name: 'transfer', chain: ['GROUP_2', 'base'] },
  { name: 'island', chain: ['reef.1'] },
  { name: 'vault', mode: 'strict', chain: ['vault_2'] },
];
const SERVICES: LaneFallbackConfig['services'] = [
  { name: 'reviews', authorities: ['reviews', 'reviews:9080', 'reviews.default.svc'] },
  {
    name: 'ratings.v1',
    authorities: ['ratings:9080'],
    shards: 4,
    lanes: [
      { name: 'dev1', chain: ['dev2', 'base'] },
      { name: 'base', chain: ['spare'] },
    ],
  },
  { name: 'details', authorities: ['Details:9080', '[::1]:9080'] },
];

/** Rules with every matcher, and a run of whole-value tests of one header, which the filter looks up in a table. */
const RULES: NonNullable<LaneTaggingConfig['rules']> = [
  { name: 'user', lane: 'dev2', match: { header: { name: 'End-User', exact: 'dev2' } } },
  { lane: 'dev1', match: { cookie: { name: 'lane', in: ['dev1', 'one', 'a b'] } } },
  { lane: 'gold', match: { query: { name: 'lane', prefix: 'go' } } },
  { lane: 'canary', match: { all: [{ path: { prefix: '/reviews/' } }, { method: { in: ['GET', 'HEAD'] } }] } },
  { lane: 'prod', match: { all: [{ path: { template: '/reviews/{id}' } }, { not: { method: { exact: 'GET' } } }] } },
  { lane: 'base', match: { all: [{ path: { template: '/{a}/../**' } }, { header: { name: 'x-b', present: true } }] } },
  { name: 'caller', lane: 'transfer', match: { caller: { cidrs: ['10.1.0.0/16', '2001:db8::/32'] } } },
  { name: 'expression', lane: 'celled', match: { cel: EXPRESSION } },
  { name: 'id', lane: 'island', match: { caller: { identity: { suffix: '/sa/tester' } } } },
  ...['alpha', 'beta', 'gamma', 'delta', 'epsilon'].map((word) => ({
    lane: word,
    match: { header: { name: 'x-word', exact: word } },
  })),
  { lane: 'zeta', match: { header: { name: 'x-word', in: ['zeta', 'eta', 'alpha'] } } },
  {
    name: 'deep',
    lane: 'vault',
    match: {
      any: [
        { not: { any: [{ header: { name: 'x-a', present: false } }, { header: { name: 'x-b', present: true } }] } },
        { all: [{ query: { name: 'deep', present: true } }, { not: { method: { exact: 'POST' } } }] },
        { all: [{ path: { suffix: '.php' } }, { cookie: { name: 'lane', present: false } }] },
      ],
    },
  },
  { name: 'tenth', lane: 'dev1', match: { percentage: { percent: 10 } } },
  {
    name: 'shared.draw',
    lane: 'dev.3',
    match: { all: [{ header: { name: 'x-b', present: true } }, { percentage: { percent: 50, salt: 'tenth' } }] },
  },
];

const STEERING: LaneFallbackConfig['steering'] = [
  { name: 'pin', match: { header: { name: 'x-load-test', exact: '1' } }, to: [{ instance: 'reviews-3' }] },
  {
    name: 'spread',
    services: ['details'],
    lanes: ['base', 'dev1'],
    percent: 60,
    to: [{ lanes: ['left', 'base'], weight: 3 }, { lanes: ['right'] }, { instance: 'details-1', weight: 2 }],
  },
  { name: 'transfer.all', match: { query: { name: 'type', exact: 'transfer' } }, to: [{ lanes: ['GROUP_2', 'base'] }] },
];

/** By authority and by path, with every mode. */
const TLS: ConnectionEliminationConfig['services'] = [
  { name: 'reviews', authorities: ['reviews', 'reviews:9080'], prefixes: ['/reviews'], mode: 'canary', percent: 40 },
  { name: 'ratings.v1', authorities: ['ratings:9080'], prefixes: ['/'], mode: 'off' },
  { name: 'details', authorities: ['Details:9080'], prefixes: ['/productpage', '/reviews/'], mode: 'on' },
  { name: 'both', authorities: ['[::1]:9080'], mode: 'on', pools: 'one' },
];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'an open gateway',
    tagHeader: 'x-asm-traffic-lane',
    traceHeaders: [['x-request-id', 'plain']],
    roles: {
      gateway: {
        'lane-tagging': { trust: 'none', rules: RULES },
        'lane-fallback': {
          direction: 'gateway',
          lanes: LANES,
          services: SERVICES,
          steering: STEERING,
          edges: 'all',
          shard: 7,
        },
        'connection-elimination': { direction: 'gateway', services: TLS },
      },
    },
  },
  {
    name: 'a gateway behind an API gateway',
    tagHeader: 'x-lane',
    traceHeaders: [
      ['traceparent', 'traceparent'],
      ['b3', 'b3'],
      ['x-b3-traceid', 'b3-traceid'],
      ['sw8', 'sw8'],
    ],
    roles: {
      gateway: {
        'lane-tagging': {
          tagHeader: 'X-Lane',
          trust: { cidrs: ['10.1.2.0/24', '::1'], identities: ['spiffe://mesh/ns/x/sa/front'] },
          failureMode: 'closed',
          sources: ['traceparent', 'B3', 'x-b3-traceid', 'sw8'].map((header) => ({ header })),
          rules: [...RULES].reverse(),
        },
        'lane-fallback': {
          direction: 'gateway',
          tagHeader: 'X-Lane',
          baseline: 'prod',
          lanes: LANES,
          services: SERVICES,
          stages: 3,
        },
      },
    },
  },
  {
    name: 'a sidecar with a trace map',
    tagHeader: 'x-asm-traffic-lane',
    traceHeaders: [
      ['x-request-id', 'plain'],
      ['uber-trace-id', 'uber-trace-id'],
    ],
    roles: {
      inbound: {
        'trace-propagation': {
          direction: 'inbound',
          entries: 1024,
          ttlSeconds: 5,
          maxPinSeconds: 20,
          leakSample: 1,
          sources: [{ header: 'x-request-id' }, { header: 'Uber-Trace-Id' }],
        },
        'lane-fallback': {
          direction: 'inbound',
          redirects: [
            { name: 'unit.2', percent: 30, match: { path: { prefix: '/reviews' } }, to: 'unit2' },
            { name: 'all-post', match: { method: { exact: 'POST' } }, to: 'unit3' },
          ],
        },
      },
      outbound: {
        'trace-propagation': {
          direction: 'outbound',
          entries: 1024,
          ttlSeconds: 5,
          maxPinSeconds: 20,
          leakSample: 1,
          sources: [{ header: 'x-request-id' }, { header: 'Uber-Trace-Id' }],
        },
        'lane-tagging': { trust: 'all', rules: RULES.slice(0, 4) },
        'lane-fallback': {
          direction: 'outbound',
          lanes: LANES,
          services: SERVICES,
          steering: STEERING,
          stages: 2,
          shard: 3,
        },
        'connection-elimination': { direction: 'outbound', services: TLS },
      },
    },
  },
  {
    name: 'a sidecar with baggage',
    tagHeader: 'x-asm-traffic-lane',
    traceHeaders: [['x-datadog-trace-id', 'plain']],
    roles: {
      inbound: { 'trace-propagation': { direction: 'inbound', mode: 'baggage', baggageKey: 'lane' } },
      outbound: {
        'trace-propagation': { direction: 'outbound', mode: 'baggage', baggageKey: 'lane' },
        'lane-fallback': { direction: 'outbound', lanes: LANES, edges: 'none' },
      },
    },
  },
  {
    name: 'filters alone',
    tagHeader: 'x-asm-traffic-lane',
    traceHeaders: [
      ['traceparent', 'traceparent'],
      ['x-request-id', 'plain'],
    ],
    alone: true,
    roles: {
      gateway: {
        'lane-tagging': { trust: { cidrs: ['10.0.0.0/8'] }, sources: [{ header: 'traceparent' }], rules: RULES },
      },
      inbound: {
        'trace-propagation': {
          direction: 'inbound',
          entries: 1024,
          leakSample: 3,
          sources: [{ header: 'traceparent' }, { header: 'x-request-id' }],
        },
      },
      outbound: {
        'trace-propagation': {
          direction: 'outbound',
          entries: 1024,
          leakSample: 3,
          sources: [{ header: 'x-request-id' }, { header: 'traceparent' }],
        },
      },
    },
  },
];
