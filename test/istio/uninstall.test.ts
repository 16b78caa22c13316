import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resource } from '../../envoy-configs/istio/kube.ts';
import { type IstioUninstallStep, istioUninstall } from '../../envoy-configs/istio/uninstall.ts';
import { INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { ask } from '../e2e/support.ts';
import { underLoad } from '../isolation/load.ts';
import { type IstioStory, openIstioStory } from './story-stage.ts';

/** `causeway render istio --uninstall`, played line by line under load. */

const TEXT = `mesh: uninstall
gateways: [{ name: gateway, exposeLane: true, routes: [{ prefix: /, service: productpage }] }]
services:
  productpage: { entrance: true, calls: [reviews, ratings], instances: { base: {}, dev1: {} } }
  reviews: { entrance: true, calls: [ratings], overload: {}, instances: { base: { version: v2 } } }
  ratings: { calls: [], limits: { perSecond: 100000 }, instances: { base: { replicas: 2 }, dev1: {} } }
lanes: { dev1: {}, gold: { mode: strict } }
rules:
  - { name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }
  - { name: dev1-late, at: sidecar, entrance: reviews, lane: dev1, match: { header: { name: end-user, exact: late } } }
`;
const PAGE = '/api/v1/products/0/reviews';
const USERS = [{ 'end-user': 'dev1' }, { cookie: 'user=late' }, {}] as const;
const RATE = 40;

/** What a person has who keeps the gateway: its own way to the entrance. */
const OWN = [
  resource('Gateway', 'default', 'shop', {
    selector: { istio: 'ingressgateway' },
    servers: [{ port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
  }),
  resource('VirtualService', 'default', 'shop', {
    hosts: ['*'],
    gateways: ['shop'],
    http: [{ route: [{ destination: { host: 'productpage.default.svc.cluster.local', port: { number: 9080 } } }] }],
  }),
];

let story: IstioStory;
let steps: readonly IstioUninstallStep[] = [];

beforeAll(async () => {
  story = await openIstioStory({ network: '127.74', scale: 20, edit: () => TEXT });
  steps = istioUninstall(story.deployment.resources, story.deployment.mesh);
}, 30 * 60_000);

afterAll(() => story?.close());

async function instances(headers: Record<string, string>): Promise<string[]> {
  const { status, hop } = await ask(`${story.stage.url}${PAGE}`, headers);
  return status === 200 && hop ? hopsOf(hop).map(({ instance }) => instance) : [`status ${status}`];
}

const step = (number: number) => {
  const found = steps.find(({ what }) => what.startsWith(`${number}. `));
  if (!found) throw new Error(`no step ${number}`);
  return found.commands;
};

const admins = () =>
  story.deployment.plans.map(({ node }) => ({ id: node.id, admin: new EnvoyAdmin(node.adminSocket) }));

describe('uninstall on Istio', () => {
  it('fails no request, step by step', async () => {
    expect(await instances(USERS[0])).toEqual(['productpage-dev1-1', 'reviews-base-1', 'ratings-dev1-1']);
    expect((await instances(USERS[1]))[2]).toBe('ratings-dev1-1');
    const failedBy: Record<string, unknown> = {};
    const play = async (name: string, work: () => Promise<void>) => {
      const headers = (n: number) => USERS[n % USERS.length] ?? {};
      const report = await underLoad(story.stage.url, RATE, work, { path: PAGE, headers, name });
      expect(report.sent).toBeGreaterThan(0);
      if (report.failed > 0) failedBy[name] = report.failures;
    };
    await play('1', () =>
      story.stage.apply((config) => {
        config.rules = [];
      }),
    );
    expect(await instances(USERS[0])).toEqual([
      'productpage-base-1',
      'reviews-base-1',
      expect.stringMatching(/^ratings-base-/),
    ]);
    await play('2', () =>
      story.stage.apply(({ services }) => {
        for (const { instances: all } of Object.values(services)) delete all.dev1;
      }),
    );
    await play('own', () => story.deployment.add(OWN));
    for (const number of [3, 4, 5, 6]) {
      expect(step(number).length).toBeGreaterThan(0);
      await play(String(number), () => story.deployment.kubectl(step(number)));
    }
    expect(failedBy).toEqual({});
  });

  it('leaves a plain mesh in which everybody meets the baseline', async () => {
    const seen = new Set<string | undefined>();
    for (const headers of [...USERS, { 'x-asm-traffic-lane': 'dev1' }, ...USERS, ...USERS]) {
      const [page, reviews, ratings] = await instances(headers);
      expect([page, reviews]).toEqual(['productpage-base-1', 'reviews-base-1']);
      seen.add(ratings);
    }
    expect([...seen].sort()).toEqual(['ratings-base-1', 'ratings-base-2']);
  });

  it('leaves nothing of the suite in any proxy but the override of its bootstrap', async () => {
    const words = ['causeway', 'filters.http.wasm', ...INTERNAL_HEADERS.map(({ name }) => `"${name}"`)];
    for (const { id, admin } of admins()) {
      // Listeners that drain are still told of.
      const left = async () => {
        const { configs } = JSON.parse((await admin.get('/config_dump?include_eds')).body) as {
          configs: { '@type': string }[];
        };
        const now = JSON.stringify(
          configs.filter((config) => !config['@type'].endsWith('BootstrapConfigDump')),
          // The rig's own, from which the claims are read.
          (key, value: unknown) => (key === 'access_log' ? undefined : value),
        );
        const machines = [...(await admin.stats('^wasm\\..*\\.active$')).values()].reduce(
          (sum, count) => sum + count,
          0,
        );
        return [id, machines, words.filter((word) => now.includes(word))];
      };
      await expect.poll(left, { timeout: 20_000, interval: 200 }).toEqual([id, 0, []]);
    }
    const { headers, hop } = await ask(`${story.stage.url}${PAGE}`);
    const told = [...Object.keys(headers), ...(hop?.calls ?? []).flatMap((call) => Object.keys(call.headers))];
    const internal = INTERNAL_HEADERS.map(({ name }) => name);
    expect(told.filter((name) => internal.includes(name))).toEqual([]);
  });
});
