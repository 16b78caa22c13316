import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AdaptiveRateLimitConfig } from '../../filters/adaptive-rate-limit/schema.ts';
import { LogLevel, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';
import { hostCalls, LimitedInstance } from './limited-instance.ts';

const INTERFACES = [
  { name: 'list', methods: ['GET'], template: '/products' },
  { name: 'one', template: '/products/{id}' },
];

let module: Uint8Array<ArrayBuffer>;
let counting: Uint8Array<ArrayBuffer>;
let app: LimitedInstance;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
  counting = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { countAllocations: true })));
}, 600_000);

function use(configuration: AdaptiveRateLimitConfig, workers = 1, record = false): void {
  app = new LimitedInstance(module, configuration, workers, record);
  expect(app.host.messages(LogLevel.Error)).toEqual([]);
}

/** Where each of the first `count` requests at once ends: statuses by number. */
function statuses(count: number, path = '/', headers: [string, string][] = []): Record<number, number> {
  const seen: Record<number, number> = {};
  for (let i = 0; i < count; i++) {
    const status = app.arrive(path, headers).clientResponse?.status ?? 200;
    seen[status] = (seen[status] ?? 0) + 1;
  }
  return seen;
}

describe('a limit', () => {
  it('of an interface holds for that interface', () => {
    use({
      interfaces: [{ ...INTERFACES[0], name: 'list', template: '/products', perSecond: 40 }, ...INTERFACES.slice(1)],
    });
    expect(statuses(30, '/products')).toEqual({ 200: 10, 429: 20 });
    expect(statuses(30, '/products/1')).toEqual({ 200: 30 });
    expect(app.metrics()).toEqual({ 'refused.reason.interface.interface.list': 20 });
  });

  it('of the instance holds for all together', () => {
    use({ perSecond: 40, interfaces: INTERFACES });
    expect(statuses(6, '/products')).toEqual({ 200: 6 });
    expect(statuses(6, '/products/1')).toEqual({ 200: 4, 429: 2 });
    expect(app.metrics()).toEqual({ 'refused.reason.instance': 2 });
  });

  it('is answered as its callers understand', () => {
    use({ perSecond: 4 });
    const answered = (headers: [string, string][] = []) => {
      statuses(1);
      return app.arrive('/', headers).clientResponse;
    };
    const response = answered();
    expect(response).toMatchObject({ status: 429, details: 'causeway_adaptive_rate_limit_instance' });
    expect(response?.headers.get('x-envoy-ratelimited')).toBe('true');
    expect(response?.headers.get('retry-after')).toBe('1');
    const grpc = answered([['content-type', 'application/grpc']]);
    expect(grpc?.headers.get('grpc-status')).toBe('8');
    use({ perSecond: 4, status: 503, retryAfterSeconds: 0 });
    expect(answered()?.status).toBe(503);
    expect(answered()?.headers.has('retry-after')).toBe(false);
  });

  it.each<[string, AdaptiveRateLimitConfig, string]>([
    ['interface', { interfaces: [{ name: 'all', template: '/**', perSecond: 4 }] }, 'interface.interface.all'],
    ['instance', { perSecond: 4 }, 'instance'],
    ['hotspot', { hotspots: [{ name: 'user', by: { header: 'x-user' }, perSecond: 4 }] }, 'hotspot.rule.user'],
  ])('of the %s is named in the details and counted', (reason, configuration, labels) => {
    use(configuration);
    expect(app.pass('/', [['x-user', 'ann']])).toBe(true);
    const refused = app.arrive('/', [['x-user', 'ann']]);
    expect(refused.clientResponse).toMatchObject({ status: 429, details: `causeway_adaptive_rate_limit_${reason}` });
    expect(app.metrics()).toEqual({ [`refused.reason.${labels}`]: 1 });
  });

  it('meets nothing that is not there, and no clock that is set', () => {
    use({ perSecond: 4, hotspots: [{ name: 'user', by: { cookie: 'sid' }, perSecond: 4 }] });
    expect(app.pass('')).toBe(true);
    app.host.clock.jump(-3_600_000);
    expect(app.pass(), 'set back, it refills nothing').toBe(false);
    app.host.clock.advance(260);
    expect(app.pass(), 'and goes on from there').toBe(true);
    expect(app.pass()).toBe(false);
    app.host.clock.jump(3_600_000);
    expect([app.pass(), app.pass()], 'set forward, it fills the bucket, and no more').toEqual([true, false]);
  });

  it.each([
    ['1 worker', [400]],
    ['2 workers, evenly', [200, 200]],
    ['2 workers, one of them idle', [0, 400]],
    ['4 workers, unevenly', [10, 40, 50, 300]],
    ['4 workers, hardly more than the limit', [52, 52, 53, 53]],
  ])('is met within 3 %% with %s', (_what, rates) => {
    use({ perSecond: 200 }, rates.length);
    app.drive(rates, 2000);
    const admitted = app.drive(rates, 20_000);
    expect(admitted / 4000).toBeGreaterThan(0.97);
    expect(admitted / 4000).toBeLessThan(1.03);
  });

  it('is met within 3 % while traffic moves from worker to worker', () => {
    use({ perSecond: 200 }, 4);
    app.drive([400, 0, 0, 0], 2000);
    let admitted = 0;
    for (let second = 0; second < 20; second++) {
      admitted += app.drive(
        app.workers.map((_vm, i) => (i === (second * 3) % 4 ? 400 : 10)),
        1000,
      );
    }
    expect(admitted / 4000).toBeGreaterThan(0.97);
    expect(admitted / 4000).toBeLessThan(1.03);
  });

  it('refuses nothing below it, however uneven the workers are', () => {
    use({ perSecond: 200 }, 4);
    expect(app.drive([0, 0, 10, 170], 10_000)).toBe(1800);
  });

  it('is met again after a worker has trapped and started anew', () => {
    use({ perSecond: 200 }, 2);
    app.drive([300, 300], 2000);
    app.workers[0]?.root.shutdown();
    app.workers[0] = app.worker();
    app.drive([300, 300], 1000);
    const admitted = app.drive([300, 300], 10_000);
    expect(admitted / 2000).toBeGreaterThan(0.97);
    expect(admitted / 2000).toBeLessThan(1.03);
  });
});

describe('a hot value', () => {
  const byUser = (perSecond: number): AdaptiveRateLimitConfig => ({
    hotspots: [{ name: 'user', by: { header: 'X-User' }, perSecond }],
  });

  it('is limited by itself; others and requests without it are not', () => {
    use(byUser(40));
    expect(statuses(30, '/', [['x-user', 'ann']])).toEqual({ 200: 10, 429: 20 });
    expect(statuses(5, '/', [['x-user', 'bob']])).toEqual({ 200: 5 });
    expect(statuses(50)).toEqual({ 200: 50 });
    expect(app.metrics()).toEqual({ 'refused.reason.hotspot.rule.user': 20 });
  });

  it('is found in cookies and queries, and only where the rule asks for it', () => {
    use({
      hotspots: [
        { name: 'session', by: { cookie: 'sid' }, perSecond: 4 },
        { name: 'item', by: { query: 'id' }, perSecond: 4, match: { path: { template: '/item' } } },
      ],
    });
    expect(statuses(3, '/', [['cookie', 'a=b; sid="1"']])).toEqual({ 200: 1, 429: 2 });
    expect(statuses(3, '/item?id=a%20b')).toEqual({ 200: 1, 429: 2 });
    expect(statuses(1, '/item?id=a+b'), 'the same value').toEqual({ 429: 1 });
    expect(statuses(3, '/other?id=7')).toEqual({ 200: 3 });
  });

  it.each([1, 2, 4])('is met within 3 %% with %i workers', (count) => {
    use(byUser(100), count);
    const rates = Array.from({ length: count }, (_, i) => (i === 0 ? 250 : 50));
    app.drive(rates, 2000, '/', [['x-user', 'ann']]);
    const admitted = app.drive(rates, 20_000, '/', [['x-user', 'ann']]);
    expect(admitted / 2000).toBeGreaterThan(0.97);
    expect(admitted / 2000).toBeLessThan(1.03);
  });

  it('stays limited in a flood of other values', () => {
    use(byUser(20));
    let admitted = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      app.host.clock.advance(1);
      app.pass('/', [['x-user', `flood ${ms}`]]);
      if (ms % 10 === 0 && app.pass('/', [['x-user', 'ann']])) admitted++;
    }
    expect(admitted).toBeGreaterThanOrEqual(195);
    expect(admitted).toBeLessThan(215);
  });
});

describe('what a request costs', () => {
  const HEADERS = ['get_current_time_nanoseconds', 'get_header_map_pairs RequestHeaders'];
  const calls = (configuration: AdaptiveRateLimitConfig, path = '/', headers: [string, string][] = []) => {
    use(configuration, 1, true);
    const exchange = () => {
      const stream = app.arrive(path, headers);
      stream.responseHeaders([
        [':status', '200'],
        ['x-queue-ms', '0'],
      ]);
      stream.end();
      return stream;
    };
    exchange();
    app.host.clock.advance(500);
    const stream = exchange();
    return [hostCalls(stream), hostCalls(stream, 'proxy_on_log')];
  };

  it('of an instance with a limit: the time, nothing when it ends', () => {
    expect(calls({ perSecond: 1000 })).toEqual([['get_current_time_nanoseconds'], []]);
  });

  it('of limited interfaces: all headers as well', () => {
    const limited = INTERFACES.map((item) => ({ ...item, perSecond: 1000 }));
    expect(calls({ interfaces: limited }, '/products')[0]).toEqual(HEADERS);
  });

  it('of hot values: all headers, however many rules', () => {
    const hotspots = [
      { name: 'user', by: { header: 'x-user' }, perSecond: 1000 },
      { name: 'session', by: { cookie: 'sid' }, perSecond: 1000 },
    ];
    expect(calls({ hotspots }, '/', [['x-user', 'ann']])[0]).toEqual(HEADERS);
  });

  it('of the adaptive limit: the time and the answer when it ends, nothing of the class while calm', () => {
    expect(calls({ adaptive: {}, interfaces: INTERFACES }, '/products')).toEqual([
      HEADERS,
      ['get_current_time_nanoseconds', 'get_header_map_pairs ResponseHeaders'],
    ]);
  });

  it('of telling the other workers: one write and one look at each, once in a sixteenth of a burst', () => {
    use({ perSecond: 640 }, 2, true);
    app.drive([100, 100], 1000);
    let exchanges = 0;
    for (let n = 0; n < 100; n++) {
      const stream = app.arrive();
      const shared = hostCalls(stream).filter((call) => call.includes('shared_data'));
      if (shared.length === 0) continue;
      exchanges++;
      expect(shared.length, 'one write, the other worker, and the first free slot').toBe(3);
    }
    expect(exchanges).toBe(10);
  });

  it('allocates nothing', () => {
    app = new LimitedInstance(
      counting,
      {
        perSecond: 500,
        interfaces: INTERFACES.map((item) => ({ ...item, perSecond: 300 })),
        hotspots: [
          { name: 'user', by: { header: 'x-user' }, perSecond: 50, match: { path: { template: '/products/**' } } },
        ],
        adaptive: { signal: { header: 'x-load', threshold: 1 } },
        stress: { match: { header: { name: 'x-stress', present: true } } },
      },
      2,
    );
    const wave = (): void => {
      for (let n = 0; n < 50; n++) {
        app.host.clock.advance(1);
        app.pass(n % 2 === 0 ? '/products' : `/products/${n}?a=b`, [['x-user', `u${n % 7}`]], app.workers[n % 2] as Vm);
      }
    };
    // The first records of other workers are given a place of their own.
    for (let i = 0; i < 60; i++) wave();
    const count = (what: string): number => app.workers.reduce((sum, vm) => sum + vm.instance.global(what), 0);
    const before = [count(GC_ALLOCATIONS), count(HEAP_ALLOCATIONS)];
    for (let i = 0; i < 30; i++) wave();
    expect([count(GC_ALLOCATIONS), count(HEAP_ALLOCATIONS)]).toEqual(before);
  });
});
