import type { CausewayConfig } from '../../../envoy-configs/schema.ts';
import { TAG } from '../../../filters/headers.ts';
import { ENVOY_REQUEST_HEADERS, INTERNAL_HEADERS } from '../../../filters/internal-headers.ts';
import { EnvoyAdmin } from '../../envoy/admin.ts';
import { FILTERS, type Recorder, type Scene } from '../scene.ts';
import type { Stage } from '../stage.ts';

/** What somebody might try: a lane, a switch, the names of clusters, a list for the load balancer, a retry condition. */
/** A google.protobuf.Value, base64: the list [{lane: "canary"}], as lane-fallback itself would write it. */
const FALLBACK_TO_CANARY = 'MhYKFCoSChAKBGxhbmUSCBoGY2FuYXJ5';
export const VALUES: readonly string[] = [
  'canary',
  '1',
  'reviews.lanes',
  'causeway.application',
  FALLBACK_TO_CANARY,
  '5xx,retriable-status-codes',
  '404',
];

const BASELINE = ['productpage:base', 'details:base', 'reviews:base', 'ratings:base'];
const REVIEWS = ['reviews:base', 'ratings:base'];

/** Paths and names by which a proxy's admin interface might be reached. */
const ADMIN_PATHS = ['/quitquitquit', '/stats', '/config_dump', '/healthcheck/fail', '//ready', '/..%2fstats'];
const ADMIN_HOSTS = ['admin', 'causeway.application', 'localhost', '127.0.0.1:9901', 'reviews.lanes'];

export const internalHeaders: Scene = {
  number: 12,
  title: 'Nobody steers the mesh by its own headers',
  shows:
    'Every header that the mesh uses inside, and those that steer Envoy’s router, sent from outside and by an application, with each filter on and off: none chooses a lane, an instance or a retry. Nothing reaches an admin interface.',
  needs: [],
  // Proxies are restarted or switched in between, and with them what they count.
  compare: false,
  async play(stage, record) {
    await hostile(stage, record, 'all filters on');
    const without = FILTERS.map((filter) => ({
      filter,
      edit: (config: CausewayConfig) => {
        config.filters = { ...config.filters, [filter]: { enabled: false } };
      },
    }));
    await stage.underEach(without, ({ filter }) => hostile(stage, record, `${filter} off`));
    await admin(stage, record);
  },
};

async function hostile(stage: Stage, record: Recorder, setting: string): Promise<void> {
  const names = [...INTERNAL_HEADERS.map(({ name }) => name), ...ENVOY_REQUEST_HEADERS];
  const moved: string[] = [];
  let tried = 0;
  const attempt = async (asked: Promise<{ hops: string[] }>, plain: readonly string[], what: string) => {
    tried++;
    const { hops } = await asked;
    if (hops.join() !== plain.join()) moved.push(`${what}: ${hops.join(' ')}`);
  };
  for (const name of names) {
    const attempts = VALUES.flatMap((value) => {
      const headers = { [name]: value };
      const outside = stage.ask({ path: '/productpage', headers });
      const all = [attempt(outside, BASELINE, `${name}: ${value} from outside`)];
      // An application may name a lane itself: that is what the tag is for. Everything else it may not.
      if (name !== TAG) {
        const inside = stage.askAs('productpage-base-1', 'reviews:9080', { path: '/reviews/0', headers });
        all.push(attempt(inside, REVIEWS, `${name}: ${value} from an application`));
      }
      return all;
    });
    await Promise.all(attempts);
  }
  record.check(
    `${setting}: ${tried} hostile requests went where plain ones go`,
    moved.length === 0 && tried > 0,
    moved.slice(0, 3),
  );
  const retried = await retries(stage);
  record.check(`${setting}: no header made a proxy try twice`, retried.length === 0, retried);
}

/** A request that the application refuses with 404, with every header that asks for retries: it must run once. */
async function retries(stage: Stage): Promise<string[]> {
  const wishes = {
    'x-envoy-retry-on': '5xx,retriable-4xx,retriable-status-codes',
    'x-envoy-retriable-status-codes': '404',
    'x-envoy-max-retries': '3',
    'x-causeway-idempotent': '1',
  };
  const { address, ports } = stage.instance('productpage-base-1');
  const count = async () => {
    const answer = await fetch(`http://${address}:${ports.app}/_evidence`);
    return ((await answer.json()) as { requests: number }).requests;
  };
  const before = await count();
  await stage.ask({ path: '/no-such-page', headers: wishes });
  const ran = (await count()) - before;
  return ran === 1 ? [] : [`the application saw ${ran} requests instead of 1`];
}

async function admin(stage: Stage, record: Recorder): Promise<void> {
  const reached: string[] = [];
  const looksLikeAdmin = (text: string) => /^OK\n?$|server\.live|"configs"|LIVE/.test(text);
  for (const path of ADMIN_PATHS) {
    for (const method of ['GET', 'POST'] as const) {
      const outside = await stage.ask({ method, path });
      if (looksLikeAdmin(outside.text)) reached.push(`${method} ${path} from outside`);
      for (const host of ADMIN_HOSTS) {
        const inside = await stage.askAs('productpage-base-1', host, { method, path });
        if (looksLikeAdmin(inside.text) || inside.status < 400)
          reached.push(`${method} ${path} as ${host}: ${inside.status}`);
      }
    }
  }
  record.check('no path and no host name reached an admin interface', reached.length === 0, reached.slice(0, 3));
  const down = [];
  for (const { id, adminSocket } of stage.claimants)
    if (!(await new EnvoyAdmin(adminSocket).ready().catch(() => false))) down.push(id);
  record.check('every Envoy is still alive', down.length === 0, down);
}
