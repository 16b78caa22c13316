/** Overload shedding on real Envoys, rendered from the words of `causeway.yaml`, in front of an application with a capacity. */
import { request } from 'undici';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { envoy, Http2Client, listener } from '../bench/fallback-retry/rig.ts';
import { startExample } from '../overload/example.ts';
import { type Answer, OverloadStage, type StageOptions } from '../overload/stage.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

/** 4 slots of 40 ms. */
const CAPACITY = 100;
/** Of the capacity, what must be served on a machine that other tests keep busy; the bars themselves are held by simulation and bench. */
const BUSY_SHARE = 0.6;
const APP = { SLOTS: '4', SERVICE_MS: '40' };

let module: string;
let stage: OverloadStage | undefined;
let network = 83;

beforeAll(async () => {
  module = await compilePlugin('filters/suite.ts');
}, 240_000);

afterEach(async () => {
  await stage?.stop();
  stage = undefined;
});

async function start(options: Partial<StageOptions> = {}): Promise<OverloadStage> {
  // Another network each time: a closed port may still be remembered.
  stage = await OverloadStage.start({ module, network: network++, app: APP, ...options });
  const { inbound } = stage;
  await waitUntil(
    'the first answer',
    async () => {
      const answer = await stage?.call(inbound);
      return answer?.status === 200 ? found(undefined) : notYet(String(answer?.status));
    },
    { deadlineMs: 20_000 },
  );
  return stage;
}

const count = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length;

describe.each([1, 2])('with %i workers', (concurrency) => {
  it('serves at capacity what is offered threefold, the core class first', async () => {
    const { inbound } = await start({ concurrency });
    if (stage === undefined) return;
    expect(count(await stage.load(inbound, CAPACITY / 2, 3), 503), 'half the capacity').toBe(0);
    const answers = await stage.load(inbound, CAPACITY * 3, 6, (n) => ({
      'x-request-id': `id-${n}`,
      'x-causeway-class': n % 5 === 0 ? '1' : '5',
    }));
    const later = answers.slice(answers.length / 3);
    const seconds = 4;
    expect(count(later, 200) / seconds).toBeGreaterThan(CAPACITY * BUSY_SHARE);
    const core = answers.filter((_, n) => n % 5 === 0).slice(Math.floor(answers.length / 15));
    expect(count(core, 200) / core.length, 'core').toBeGreaterThan(0.9);
    const refused = later.find(({ status }) => status === 503);
    expect(refused?.headers).toMatchObject({ 'x-envoy-ratelimited': 'true', 'retry-after': '1' });
    expect(Number(refused?.headers['x-causeway-shed'])).toBeGreaterThan(0);
    expect(await stage.metric('refused_total.class.5')).toBeGreaterThan(0);
  });
});

describe('at the edge', () => {
  it('outsiders choose no class, rules do; shedding stays inside', async () => {
    const { gateway } = await start();
    if (stage === undefined) return;
    const seen = async (headers: Record<string, string>): Promise<Record<string, string>> => {
      const answer = await stage?.call(gateway, headers);
      return JSON.parse(String(answer?.headers['x-seen'] ?? '{}')) as Record<string, string>;
    };
    await waitUntil(
      'the gateway',
      async () => ((await stage?.call(gateway))?.status === 200 ? found(undefined) : notYet('')),
      { deadlineMs: 20_000 },
    );
    expect(await seen({ 'x-causeway-class': '0', 'x-causeway-dropped': '9' })).toEqual({});
    const claim = await stage.call(stage.inbound, {}, '/claim');
    expect(claim.status).toBe(503);
    expect(claim.headers, 'no application says for its proxy that it sheds').not.toHaveProperty('x-causeway-shed');
    expect(await seen({ 'x-causeway-class': '0', 'x-user': 'core' })).toEqual({ 'x-causeway-class': '1' });

    // A cold start admits too much of everything at first.
    await stage.load(gateway, CAPACITY / 2, 3);
    const answers = await stage.load(gateway, CAPACITY * 4, 5, (n) => ({
      'x-request-id': `id-${n}`,
      ...(n % 8 === 0 ? { 'x-user': 'core' } : {}),
    }));
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(CAPACITY);
    expect(refused.filter(({ headers }) => 'x-causeway-shed' in headers)).toEqual([]);
    const core = answers.filter((_, n) => n % 8 === 0).slice(25);
    expect(count(core, 200) / core.length, 'core').toBeGreaterThan(0.9);
    const later = answers.slice(answers.length / 2);
    expect(count(later, 200) / 2.5, 'goodput').toBeGreaterThan(CAPACITY * BUSY_SHARE);
    // The gateway has heard of the threshold and dropped most of it by itself; the callee knows how many.
    expect(await stage.metric('dropped_early_total.service.shop', 'gateway')).toBeGreaterThan(CAPACITY);
    expect(await stage.metric('held_back_total')).toBeGreaterThan(CAPACITY);
    expect(await stage.metric('foreign_threshold_total', 'gateway')).toBe(0);
  });
});

describe('a stock caller', () => {
  it('retries no shed answer and ejects no host; without what the suite says it would do both', async () => {
    const { mesh } = await start();
    if (stage === undefined) return;
    const address = '127.84.250.1';
    const stock = (cluster: string, port: number): object =>
      listener({
        name: cluster,
        address,
        port,
        routes: [{ match: { prefix: '/' }, route: { cluster, retry_policy: { retry_on: '5xx', num_retries: 2 } } }],
      });
    const caller = await envoy('stock-caller', {
      listeners: [stock('shop', 15001), stock('bare', 15002)],
      clusters: [stockCluster(mesh, 'shop', renderedOptions(mesh)), stockCluster(mesh, 'bare', WITHOUT_HELP)],
    });
    try {
      const overload = async (port: number): Promise<Answer[]> =>
        (await stage?.load(`http://${address}:${port}`, CAPACITY * 3, 3, (n) => ({ 'x-request-id': `id-${n}` }))) ?? [];
      const counts = async (cluster: string): Promise<{ retries: number; ejections: number }> => {
        const stats = await caller.admin.stats(`^cluster\\.${cluster}\\.(upstream_rq_retry|outlier_detection)`);
        return {
          retries: stats.get(`cluster.${cluster}.upstream_rq_retry`) ?? Number.NaN,
          ejections: stats.get(`cluster.${cluster}.outlier_detection.ejections_enforced_total`) ?? Number.NaN,
        };
      };

      const refused = (await overload(15001)).filter(({ headers }) => 'x-causeway-shed' in headers);
      expect(refused.length).toBeGreaterThan(CAPACITY);
      expect(await counts('shop')).toEqual({ retries: 0, ejections: 0 });

      await overload(15002);
      const bare = await counts('bare');
      expect(bare.retries, 'without x-envoy-ratelimited').toBeGreaterThan(CAPACITY);
      expect(bare.ejections, 'without the error_matcher').toBeGreaterThan(0);

      for (let i = 0; i < 8; i++) await stage.call(`http://${address}:15001`, {}, '/fail');
      const failed = await counts('shop');
      expect(failed.retries, 'real errors').toBeGreaterThan(0);
      expect(failed.ejections, 'real errors').toBe(1);
    } finally {
      await caller.stop();
    }
  });
});

const PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const filterType = (name: string): string => `type.googleapis.com/envoy.extensions.filters.http.${name}`;

/** Takes off, before the router sees it, the header that forbids retries; nothing tells shed answers from faults. */
const WITHOUT_HELP = {
  [PROTOCOL_OPTIONS]: {
    '@type': `type.googleapis.com/${PROTOCOL_OPTIONS}`,
    explicit_http_config: { http_protocol_options: {} },
    http_filters: [
      {
        name: 'bare',
        typed_config: {
          '@type': filterType('header_mutation.v3.HeaderMutation'),
          mutations: { response_mutations: [{ remove: 'x-envoy-ratelimited' }] },
        },
      },
      { name: 'codec', typed_config: { '@type': filterType('upstream_codec.v3.UpstreamCodec') } },
    ],
  },
};

/** What `causeway render` says of the service's answers. */
function renderedOptions(mesh: OverloadStage['mesh']): unknown {
  const [service] = mesh.services;
  if (service === undefined) throw new Error('the stage has no service');
  return serviceClusters(service, laneScheme(mesh)).find(({ name }) => name === 'shop.baseline')
    ?.typed_extension_protocol_options;
}

/** The instance as anybody would name it, with Envoy's default outlier detection. */
function stockCluster(mesh: OverloadStage['mesh'], name: string, options: unknown): object {
  const [instance] = mesh.services[0]?.instances ?? [];
  if (instance === undefined) throw new Error('the service has no instance');
  const socket_address = { address: instance.address, port_value: instance.ports.inbound };
  return {
    name,
    connect_timeout: '1s',
    outlier_detection: { consecutive_5xx: 5, max_ejection_percent: 100, interval: '1s', base_ejection_time: '30s' },
    typed_extension_protocol_options: options,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address } } }] }],
    },
  };
}

describe('what happens in mid-overload', () => {
  it('a change of configuration leaves nothing stuck', async () => {
    const { inbound } = await start({ concurrency: 2 });
    if (stage === undefined) return;
    const load = stage.load(inbound, CAPACITY * 3, 8, (n) => ({ 'x-request-id': `id-${n}` }));
    for (let i = 0; i < 6; i++) {
      await new Promise((resolve) => setTimeout(resolve, 900));
      stage.reconfigure({ targetMs: 15 + i });
    }
    const answers = await load;
    expect(answers.filter(({ status }) => status !== 200 && status !== 503 && status !== 0)).toEqual([]);
    expect(count(answers.slice(answers.length / 4), 200) / 6, 'goodput').toBeGreaterThan(CAPACITY * BUSY_SHARE);
    await calmAgain(inbound);
  });

  it('an application that stands still for 5 s is served again within 2 s', async () => {
    const { inbound } = await start();
    if (stage === undefined) return;
    await stage.load(inbound, CAPACITY * 0.7, 3);
    stage.signal('SIGSTOP');
    const during = await stage.load(inbound, CAPACITY * 0.7, 5);
    stage.signal('SIGCONT');
    expect(count(during, 503), 'refused while it stood still').toBeGreaterThan(CAPACITY);
    await stage.load(inbound, CAPACITY * 0.7, 2);
    const after = await stage.load(inbound, CAPACITY * 0.7, 3);
    expect(count(after, 200) / after.length).toBeGreaterThanOrEqual(0.95);
  });

  it('a VM that traps is replaced by one that goes on', async () => {
    const trapping = await compilePlugin('test/plugins/trap-suite.ts');
    const { inbound } = await start({ module: trapping });
    if (stage === undefined) return;
    const load = stage.load(inbound, CAPACITY * 3, 6, (n) => ({
      'x-request-id': `id-${n}`,
      ...(n === CAPACITY * 9 ? { 'x-test-trap': '1' } : {}),
    }));
    const answers = await load;
    const configured = await stage.sidecar.admin.stats('causeway_vm_configured_total\\.role\\.inbound');
    expect(Math.max(...configured.values()), 'a VM was replaced').toBeGreaterThan(2);
    const later = answers.slice(CAPACITY * 3 * 4);
    expect(count(later, 200) / 2, 'goodput').toBeGreaterThan(CAPACITY * BUSY_SHARE);
    await calmAgain(inbound);
  });
});

/** A second at half the capacity is refused nothing, once the state has had its time. */
async function calmAgain(inbound: string): Promise<void> {
  await stage?.load(inbound, CAPACITY / 2, 2);
  const answers = (await stage?.load(inbound, CAPACITY / 2, 2)) ?? [];
  expect(count(answers, 503)).toBe(0);
  await waitUntil(
    'nothing in flight',
    async () => {
      const inFlight = await stage?.metric('in_flight');
      return inFlight === 0 ? found(undefined) : notYet(String(inFlight));
    },
    { deadlineMs: 5_000 },
  );
}

it('HTTP/2 and gRPC are limited, shed and served, each refused in its own way', async () => {
  const { inbound } = await start({
    protocol: 'grpc',
    app: { ...APP, PROTOCOL: 'http2' },
    interfaces: [{ name: 'limited', template: '/limited' }],
    limits: { interfaces: { limited: 40 } },
  });
  const { hostname, port } = new URL(inbound);
  const client = new Http2Client(hostname, Number(port));
  try {
    for (const grpc of [false, true]) {
      const kind = grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {};
      const load = (path: string, perSecond: number, seconds: number) =>
        http2Load(client, path, perSecond, seconds, kind);
      const said = ({ status, grpcStatus }: Http2Answer): string => (grpc ? `${status} ${grpcStatus}` : `${status}`);
      const good = grpc ? '200 0' : '200';

      const limited = await load('/limited', 100, 1.5);
      const passed = limited.filter((answer) => said(answer) === good).length;
      expect(passed).toBeGreaterThan(60 * 0.8);
      expect(passed, 'and a burst').toBeLessThan(60 * 1.2 + 10);
      expect(new Set(limited.map(said))).toEqual(new Set([good, grpc ? '200 8' : '429']));

      const flood = await load('/', CAPACITY * 3, 3);
      const later = flood.slice(flood.length / 2).filter((answer) => said(answer) === good);
      expect(later.length / 1.5).toBeGreaterThan(CAPACITY / 2);
      const refused = flood.filter(({ headers }) => headers['x-causeway-shed'] !== undefined);
      expect(refused.length).toBeGreaterThan(CAPACITY);
      expect(new Set(refused.map(said))).toEqual(new Set([grpc ? '200 8' : '503']));
      expect(refused[0]?.headers['x-envoy-ratelimited']).toBe('true');
      expect(await stage?.metric('queue_microseconds'), 'T2 is read').toBeGreaterThan(0);
    }
  } finally {
    client.close();
  }
});

type Http2Answer = Awaited<ReturnType<Http2Client['call']>>;

async function http2Load(
  client: Http2Client,
  path: string,
  perSecond: number,
  seconds: number,
  headers: Readonly<Record<string, string>>,
): Promise<Http2Answer[]> {
  const sent: Promise<Http2Answer>[] = [];
  const began = performance.now();
  for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - began) {
    for (; sent.length < (elapsed / 1000) * perSecond; ) {
      const named = { ...headers, 'x-request-id': `id-${sent.length}` };
      sent.push(client.call({ path, host: 'shop:9080', headers: named, timeoutMs: 2_000 }));
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return Promise.all(sent);
}

it('an ORCA report is read as well as a header', async () => {
  const { inbound } = await start({ overload: { queueTime: 'orca' }, app: { ...APP, REPORT: 'orca' } });
  if (stage === undefined) return;
  const answers = await stage.load(inbound, CAPACITY * 3, 4, (n) => ({ 'x-request-id': `id-${n}` }));
  expect(count(answers.slice(answers.length / 2), 200) / 2).toBeGreaterThan(CAPACITY * BUSY_SHARE);
  expect(await stage.metric('queue_microseconds')).toBeGreaterThan(0);
  expect(await stage.metric('invalid_report_total')).toBe(0);
});

it('the example does what it says', async () => {
  const example = await startExample('overload-shedding', module, '127.85.250.1');
  try {
    const url = `http://127.0.0.1:${example.port('inbound')}/`;
    const burst = (headers: Record<string, string>): Promise<number[]> =>
      Promise.all(
        Array.from({ length: 200 }, async () => {
          const answer = await request(url, { headers, headersTimeout: 10_000 });
          await answer.body.dump();
          return answer.statusCode;
        }),
      );
    const statuses = await burst({});
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(100);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(64);
    expect(new Set(await burst({ 'x-causeway-class': '0' }))).toEqual(new Set([200]));
  } finally {
    await example.stop();
  }
});
