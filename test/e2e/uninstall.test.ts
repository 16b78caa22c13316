import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { underLoad } from '../isolation/load.ts';
import { IsolationStage } from '../isolation/stage.ts';
import { ask } from './support.ts';

/** Rules at the gateway and at sidecars, a strict lane, a pinned instance, limits, protection, healing and isolation at once. */
const TEXT = `mesh: uninstall
isolation: {}
gateways: [{ name: gateway, exposeLane: true, routes: [{ prefix: /, service: productpage }] }]
services:
  productpage: { entrance: true, calls: [details, reviews, ratings], instances: { base: {}, dev1: {} } }
  details: { calls: [], overload: {}, instances: { base: {} } }
  reviews: { entrance: true, calls: [ratings], healing: true, instances: { base: { version: v2 } } }
  ratings: { calls: [], limits: { perSecond: 100000 }, instances: { base: { replicas: 2 }, dev1: {} } }
lanes: { dev1: {}, gold: { mode: strict } }
rules:
  - { name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }
  - { name: dev1-late, at: sidecar, entrance: reviews, lane: dev1, match: { header: { name: end-user, exact: late } } }
steering: [{ name: one, services: [ratings], match: { cookie: { name: cohort, exact: one } }, to: [{ instance: ratings-base-2 }] }]
`;
const PAGE = '/api/v1/products/0/reviews';
const USER = { 'end-user': 'dev1' };
const PINNED = { cookie: 'cohort=one' };
const WITH_LANE = ['productpage-dev1-1', 'reviews-base-1', 'ratings-dev1-1'];
const RATE = 25;

let stage: IsolationStage;

beforeAll(async () => {
  stage = await IsolationStage.open('127.98', TEXT);
}, 120_000);

afterAll(() => stage?.close());

/** Requests of the lane and of nobody, with POSTs among them, while something happens. */
const meanwhile = (work: () => Promise<unknown>) =>
  underLoad(
    stage.gateway,
    RATE,
    async () => {
      await work();
    },
    { path: PAGE, headers: (n) => (n % 2 === 0 ? USER : {}) },
  );

async function instances(headers: Record<string, string>): Promise<string[]> {
  const { status, hop } = await ask(`${stage.gateway}${PAGE}`, headers);
  return status === 200 && hop ? hopsOf(hop).map(({ instance }) => instance) : [`status ${status}`];
}

const admins = () =>
  stage.deployment.plans.map(({ node }) => ({ id: node.id, admin: new EnvoyAdmin(node.adminSocket) }));

async function machines(): Promise<number> {
  let total = 0;
  for (const { admin } of admins()) {
    for (const count of (await admin.stats('^wasm\\..*\\.active$')).values()) total += count;
  }
  return total;
}

describe('uninstall', { timeout: 120_000 }, () => {
  it('under load fails no request', async () => {
    expect(await instances(USER)).toEqual(WITH_LANE);
    for (let n = 0; n < 6; n++) expect((await instances(PINNED))[2]).toBe('ratings-base-2');
    expect(await machines()).toBeGreaterThan(0);
    const report = await meanwhile(() => stage.deployment.uninstall());
    expect(report.failures).toEqual({});
    expect(report.kinds.POST?.sent ?? 0).toBeGreaterThan(RATE / 2);
  });

  it('leaves a plain mesh in which everybody meets the baseline', async () => {
    for (const headers of [{}, USER, { 'x-asm-traffic-lane': 'dev1' }, PINNED]) {
      const [page, reviews, ratings] = await instances(headers);
      expect([page, reviews, ratings?.slice(0, -1)]).toEqual(['productpage-base-1', 'reviews-base-1', 'ratings-base-']);
    }
    // Both of them, also for those whom steering sent to one.
    const seen = new Set<string | undefined>();
    for (let n = 0; n < 20; n++) seen.add((await instances(PINNED))[2]);
    expect([...seen].sort()).toEqual(['ratings-base-1', 'ratings-base-2']);
  });

  it('leaves no virtual machine, no filter of the suite and no internal header', async () => {
    expect(await machines()).toBe(0);
    const names = INTERNAL_HEADERS.map(({ name }) => name);
    for (const { id, admin } of admins()) {
      const { body } = await admin.get('/config_dump?include_eds');
      const dump = JSON.parse(body) as { configs: { '@type': string }[] };
      // The bootstrap names metrics, and so does the rest of the configuration only where it is the suite's.
      const now = JSON.stringify(dump.configs.filter((config) => !config['@type'].endsWith('BootstrapConfigDump')));
      const left = [
        ...names,
        'extensions.filters.http.wasm',
        'causeway.gateway',
        'causeway.inbound',
        'causeway.outbound',
      ];
      expect([id, left.filter((word) => now.includes(`"${word}"`) || now.includes(`${word}.`))]).toEqual([id, []]);
    }
    const { headers, hop } = await ask(`${stage.gateway}${PAGE}`);
    const told = [...Object.keys(headers), ...(hop?.calls ?? []).flatMap((call) => Object.keys(call.headers))];
    expect(told.filter((name) => names.includes(name))).toEqual([]);
  });

  it('is known to the deployment, which does nothing more', async () => {
    expect(stage.deployment.mesh.plain).toBe('only');
    expect(stage.deployment.plans.flatMap(({ node }) => Object.keys(node.files)).join(' ')).not.toContain('ecds');
  });

  it('is undone by apply, under load without a failed request', async () => {
    const report = await meanwhile(() => stage.apply(TEXT));
    expect(report.failures).toEqual({});
    expect(await instances(USER)).toEqual(WITH_LANE);
    for (let n = 0; n < 6; n++) expect((await instances(PINNED))[2]).toBe('ratings-base-2');
    expect(stage.deployment.mesh.plain).toBeUndefined();
  });
});
