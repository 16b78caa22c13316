import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { ask } from '../e2e/support.ts';
import { underLoad } from '../isolation/load.ts';
import { type IstioStory, openIstioStory } from './story-stage.ts';

/** What changes of a mesh's lanes cost the requests that run meanwhile, on Istio's configuration. */

const TEXT = `mesh: changes
gateways: [{ name: gateway, routes: [{ prefix: /, service: productpage }] }]
services:
  productpage: { entrance: true, calls: [reviews, ratings], instances: { base: {}, dev1: {} } }
  reviews: { calls: [ratings], instances: { base: { version: v2, replicas: 2 } } }
  ratings: { calls: [], instances: { base: {}, dev1: {} } }
lanes: { dev1: {} }
rules:
  - { name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }
`;
const PAGE = '/api/v1/products/0/reviews';
const DEV1 = { 'end-user': 'dev1' };
const DEV2 = { 'end-user': 'dev2' };
const RATE = 60;
const ROUNDS = 10;

let story: IstioStory;

async function instances(headers: Record<string, string>): Promise<string[]> {
  const { status, hop } = await ask(`${story.stage.url}${PAGE}`, headers);
  return status === 200 && hop ? hopsOf(hop).map(({ instance }) => instance) : [`status ${status}`];
}

/** Requests of both users, POSTs among them, while something happens. */
const meanwhile = (work: () => Promise<void>) =>
  underLoad(story.stage.url, RATE, work, { path: PAGE, headers: (n) => (n % 2 === 0 ? DEV1 : DEV2) });

const joins = () =>
  story.stage.apply(({ services }) => {
    Object.assign(services.reviews?.instances ?? {}, { dev1: { version: 'v3' } });
  });

const leaves = () =>
  story.stage.apply(({ services }) => {
    delete services.reviews?.instances.dev1;
  });

/** What proxies have said of calls that failed, those of Pods that are gone included. */
async function faults(): Promise<string> {
  const folder = dirname(story.deployment.plans[0]?.node.accessLog ?? '');
  const logs = (await readdir(folder)).filter((name) => name.endsWith('.access.log'));
  const texts = await Promise.all(logs.map(async (name) => `${name}\n${await readFile(join(folder, name), 'utf8')}`));
  return texts.flatMap((text) => text.split('\n').filter((line) => /"status":5|\.log$/.test(line))).join('\n');
}

/** Until requests with these headers are served there; a Pod that has just come may have been found absent before. */
const served = (headers: Record<string, string>, ids: RegExp) =>
  expect.poll(async () => (await instances(headers)).join(' '), { timeout: 15_000, interval: 50 }).toMatch(ids);

describe.each([
  ['composite', '127.91'],
  ['aggregate', '127.92'],
] as const)('with %s clusters', (fallback, network) => {
  beforeAll(async () => {
    const edit = () => `${TEXT}istio: { fallback: ${fallback} }\n`;
    story = await openIstioStory({ network, scale: 20, edit });
  }, 30 * 60_000);

  afterAll(() => story?.close());

  describe('a service', () => {
    it('joins a lane and leaves it again under load without a failed request', async () => {
      const report = await meanwhile(async () => {
        for (let round = 0; round < ROUNDS; round++) {
          await joins();
          await served(DEV1, /^productpage-dev1-1 reviews-dev1-1 ratings-dev1-1$/);
          await leaves();
          await served(DEV1, /^productpage-dev1-1 reviews-base-. ratings-dev1-1$/);
        }
      });
      console.log(`${ROUNDS} times in and out: ${report.sent} requests, ${report.failed} failed`);
      expect(report.failures, await faults()).toEqual({});
      expect(report.sent).toBeGreaterThan(ROUNDS * RATE);
    });
  });

  describe('a lane', () => {
    it('is made and deleted under load without a failed request, its rule last and first', async () => {
      const report = await meanwhile(async () => {
        await story.stage.apply(({ lanes = {}, services }) => {
          lanes.dev2 = {};
          Object.assign(services.reviews?.instances ?? {}, { dev2: { version: 'v3' } });
        });
        await story.stage.apply(({ rules = [] }) => {
          rules.push({
            name: 'dev2-user',
            entrance: 'productpage',
            lane: 'dev2',
            match: { header: { name: 'end-user', exact: 'dev2' } },
          });
        });
        await served(DEV2, /^productpage-base-1 reviews-dev2-1 /);
        await story.stage.apply(({ rules = [] }) => {
          rules.pop();
        });
        await story.stage.apply(({ lanes = {}, services }) => {
          delete lanes.dev2;
          delete services.reviews?.instances.dev2;
        });
        await served(DEV2, /^productpage-base-1 reviews-base-. ratings-base-1$/);
      });
      expect(report.failures, await faults()).toEqual({});
    });

    it('costs a caller this much memory for each service that it calls', async () => {
      const plan = story.deployment.plans.find(({ node }) => node.id === 'productpage-base-1');
      if (!plan) throw new Error('no productpage-base-1');
      const admin = new EnvoyAdmin(plan.node.adminSocket);
      const allocated = async () =>
        Number((JSON.parse((await admin.get('/memory')).body) as { allocated: string }).allocated);
      const before = await allocated();
      const more = 50;
      await story.stage.apply(({ lanes = {} }) => {
        for (let n = 0; n < more; n++) lanes[`more-${n}`] = {};
      });
      const each = ((await allocated()) - before) / more / 2;
      console.log(`a lane: ${Math.round(each / 1024)} KiB for each service that a proxy calls`);
      expect(each).toBeGreaterThan(0);
      expect(each).toBeLessThan(256 * 1024);
    });
  });
});
