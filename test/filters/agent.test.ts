import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AgentConfig } from '../../filters/agent/schema.ts';
import { EmulatedHost, type HttpCall, LogLevel, type Vm } from '../emulator/index.ts';
import { clustersAnswer, pressureAnswer } from '../support/admin-answers.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const CLUSTER = 'reviews.lanes';

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let agent: Vm;
let worker: Vm;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('test/plugins/agent-reader.ts')));
}, 300_000);

beforeEach(() => {
  host = new EmulatedHost(module);
});

function start(wanted: readonly string[] = [CLUSTER], configuration: AgentConfig = {}): void {
  worker = host.vm({ rootId: 'reader', vmConfiguration: 'outbound', configuration: wanted.join('\n') });
  agent = host.vm({ rootId: 'agent', vmConfiguration: 'agent', configuration });
  expect(host.messages(LogLevel.Error)).toEqual([]);
  expect(agent.configured).toBe(true);
}

/** Calls that wait for their answer. */
function pending(about: 'stats' | 'clusters'): HttpCall[] {
  return agent.root.httpCalls.filter((call) => call.pending && call.headers.get(':path')?.startsWith(`/${about}`));
}

interface Answers {
  readonly pressure?: string | number;
  readonly status?: string;
  /** Body of the answer about each cluster; undefined = no answer at all. */
  readonly hosts?: (path: string) => string | undefined;
  readonly hostsStatus?: string;
  /** What an answer takes, a multiple of 10. Default: nothing. */
  readonly tookMs?: number;
}

/** So many seconds pass; whatever the agent asks is answered. */
function pass(seconds: number, answers: Answers = {}): void {
  const stepMs = answers.tookMs === undefined ? 1000 : 10;
  const end = host.clock.ms + seconds * 1000;
  while (host.clock.ms < end) {
    host.clock.advance(stepMs);
    for (let again = true; again; ) {
      again = false;
      for (const call of pending('stats')) {
        host.clock.advance(answers.tookMs ?? 0);
        call.respond({ headers: [[':status', answers.status ?? '200']], body: pressureAnswer(answers.pressure ?? 25) });
        again = true;
      }
      for (const call of pending('clusters')) {
        host.clock.advance(answers.tookMs ?? 0);
        const body = (answers.hosts ?? oneHost)(call.headers.get(':path') ?? '');
        if (body === undefined) call.fail();
        else call.respond({ headers: [[':status', answers.hostsStatus ?? '200']], body });
        again = true;
      }
    }
  }
  worker.root.tick();
}

const oneHost = (): string => clustersAnswer(CLUSTER, [{ address: '127.0.3.1', port: 9080 }]);

function seen(): Record<'alive' | 'pressure' | 'version' | 'hosts', string | undefined> {
  const headers = worker.exchange({}).requestHeaderMap;
  const of = (name: string) => headers.get(`x-${name}`);
  return { alive: of('alive'), pressure: of('pressure'), version: of('version'), hosts: of('hosts') };
}

const metric = (name: string): number | undefined => {
  agent.root.tick();
  return host.metrics.nonZero()[`causeway_agent_${name}`];
};

describe('a worker', () => {
  it('knows nothing without an agent', () => {
    worker = host.vm({ rootId: 'reader', configuration: CLUSTER });
    worker.root.tick();
    expect(seen()).toEqual({ alive: 'no', pressure: '-1', version: '0', hosts: `${CLUSTER}=none` });
  });

  it('sees pressure in per mille, and the hosts of the clusters that it wants', () => {
    start();
    pass(2, {
      pressure: 87,
      hosts: () =>
        clustersAnswer(CLUSTER, [
          {
            address: '127.0.3.1',
            port: 9080,
            weight: 3,
            stats: { rq_total: 5_000_000_000, rq_error: 7, rq_timeout: 2, cx_connect_fail: 1, rq_active: 4 },
          },
          { address: '::1', port: 2, priority: 1, health: { failed_active_health_check: true } },
          { path: '/run/app.sock', health: { eds_health_status: 'DRAINING' } },
        ]),
    });
    expect(seen()).toEqual({
      alive: 'yes',
      pressure: '870',
      version: '2',
      hosts: `${CLUSTER}=3 127.0.3.1:9080/up/3/5000000000/7/2/1/4/0/0 [::1]:2/down/1/0/0/0/0/0/1/1 /run/app.sock/down/1/0/0/0/0/0/0/128`,
    });
    expect(metric('hosts')).toBe(3);
  });

  it.each([
    ['failed_outlier_check', 'down', 2],
    ['failed_active_degraded_check', 'up', 4],
    ['pending_dynamic_removal', 'down', 8],
    ['pending_active_hc', 'down', 16],
    ['excluded_via_immediate_hc_fail', 'down', 32],
    ['active_hc_timeout', 'up', 64],
  ])('sees a host with %s as %s', (flag, up, bits) => {
    start();
    pass(1, { hosts: () => clustersAnswer(CLUSTER, [{ health: { [flag]: true } }]) });
    expect(seen().hosts).toBe(`${CLUSTER}=1 127.0.0.1:80/${up}/1/0/0/0/0/0/0/${bits}`);
  });

  it('reads the lists only when they have changed', () => {
    start();
    pass(1);
    const reads = () => worker.root.instance.label && host.calls.count('proxy_get_shared_data');
    const before = reads() as number;
    worker.root.tick();
    expect((reads() as number) - before, 'the state alone').toBe(1);
  });

  it('asks nothing of a cluster that is no longer wanted', () => {
    start([CLUSTER, 'ratings']);
    pass(1);
    expect(seen().hosts).toContain(`${CLUSTER}=1`);
    worker.reconfigure('ratings');
    pass(31);
    const asked = agent.root.httpCalls.length;
    pass(2);
    const paths = agent.root.httpCalls.slice(asked).map((call) => call.headers.get(':path'));
    expect(paths.filter((path) => path?.includes('reviews'))).toEqual([]);
    expect(paths.filter((path) => path?.includes('ratings')).length).toBeGreaterThan(0);
  });
});

describe('an agent that stays silent', () => {
  it('counts as none after three periods, and its age shows', () => {
    start();
    pass(2);
    expect(seen().alive).toBe('yes');
    pass(3, { status: '503', hosts: () => undefined });
    expect(seen().alive).toBe('yes');
    pass(2, { status: '503', hosts: () => undefined });
    expect(seen()).toEqual({ alive: 'no', pressure: '-1', version: '2', hosts: `${CLUSTER}=none` });
    expect(metric('age_milliseconds')).toBe(5000);
    pass(1);
    expect(seen().alive, 'and is back with the next answer').toBe('yes');
  });

  it('keeps a cluster whose answer fails for three periods', () => {
    start([CLUSTER, 'ratings']);
    const both = (path: string): string => clustersAnswer(path.includes('ratings') ? 'ratings' : CLUSTER, [{}]);
    pass(1, { hosts: both });
    const onlyRatings = (path: string): string | undefined => (path.includes('ratings') ? both(path) : undefined);
    pass(3, { hosts: onlyRatings });
    expect(seen().hosts).toMatch(/^reviews\.lanes=1 .*; ratings=1 /);
    pass(2, { hosts: onlyRatings });
    expect(seen().hosts).toMatch(/^reviews\.lanes=none; ratings=1 /);
    expect(metric('polls_total.kind.hosts.result.failed')).toBe(5);
  });

  it('survives a clock that jumps', () => {
    start();
    pass(2);
    host.clock.jump(-3_600_000);
    worker.root.tick();
    expect(seen().alive, 'published in the future').toBe('no');
    pass(2);
    expect(seen().alive).toBe('yes');
    expect(seen().hosts).toContain('=1 ');
    host.clock.jump(3_600_000);
    worker.root.tick();
    expect(seen().alive).toBe('no');
    pass(2);
    expect(seen().alive).toBe('yes');
  });
});

describe('polling', () => {
  it('asks exactly for what is wanted, of the configured cluster, by GET', () => {
    start(['reviews.lanes', 'a(b)|c'], { admin: 'the.admin' });
    pass(1);
    const calls = agent.root.httpCalls;
    expect(new Set(calls.map((call) => call.cluster))).toEqual(new Set(['the.admin']));
    expect(new Set(calls.map((call) => call.headers.get(':method')))).toEqual(new Set(['GET']));
    expect(calls.map((call) => call.headers.get(':path')).sort()).toEqual([
      '/clusters?format=json&filter=%5Ea.b..c%24',
      '/clusters?format=json&filter=%5Ereviews.lanes%24',
      '/stats?type=Gauges&filter=%5Eoverload%5C.envoy%5C.resource_monitors%5C.cpu_utilization%5C.pressure%24',
    ]);
  });

  it('slows down so that it takes its share of the main thread, and no more', () => {
    start();
    pass(40, { tookMs: 20 });
    expect(metric('period_milliseconds.kind.pressure')).toBe(4000);
    expect(metric('cost_microseconds.kind.pressure')).toBe(20_000);
    const before = agent.root.httpCalls.length;
    pass(40, { tookMs: 20 });
    const asked = agent.root.httpCalls.slice(before);
    expect(asked.length * 20, 'ms of 40 s').toBeLessThanOrEqual(420);
    expect(asked.length * 20).toBeGreaterThan(250);
    expect(seen().alive, 'three of the longer periods count').toBe('yes');
  });

  it('lists no cluster beyond 10,000 hosts, leaves it alone for ten minutes, and says so', { timeout: 120_000 }, () => {
    start(['big', 'small']);
    const hosts = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ address: `10.0.${i >> 8}.${i & 255}` }));
    const big = clustersAnswer('big', hosts(10_001));
    const fits = clustersAnswer('big', hosts(9_999));
    const answer = (path: string): string => (path.includes('big') ? big : clustersAnswer('small', [{}]));
    pass(5, { hosts: answer });
    expect(seen().hosts).toBe('big=none; small=1 127.0.0.1:80/up/1/0/0/0/0/0/0/0');
    expect(metric('clusters_too_large')).toBe(1);
    expect(agent.root.httpCalls.filter((call) => call.headers.get(':path')?.includes('big'))).toHaveLength(1);
    pass(600, { hosts: (path) => (path.includes('big') ? fits : clustersAnswer('small', [{}])) });
    expect(seen().hosts).toMatch(/^big=9999 10\.0\.0\.0:80.*; small=1 /);
    expect(metric('clusters_too_large')).toBeUndefined();
  });

  it('gives up an admin cluster that does not exist, without a call', () => {
    host = new EmulatedHost(module, { clusters: ['other'] });
    start();
    pass(5);
    expect(agent.failure).toBeUndefined();
    expect(seen().alive).toBe('no');
    expect(metric('polls_total.kind.pressure.result.failed')).toBeGreaterThanOrEqual(5);
  });

  it('has one call about each kind open at a time, whatever becomes of it', () => {
    start();
    for (let i = 0; i < 20; i++) host.clock.advance(1000);
    expect(pending('stats').length + pending('clusters').length).toBeLessThanOrEqual(2);
    // Envoy's own timeout has answered those before.
    expect(metric('polls_total.kind.pressure.result.failed')).toBeGreaterThanOrEqual(3);
  });
});

describe('bad answers', () => {
  it.each([
    ['nothing', '', '-1'],
    ['no such monitor', '\n', '-1'],
    ['101 %', pressureAnswer(101), '-1'],
    ['no number', pressureAnswer('NaN'), '-1'],
    ['a negative number', pressureAnswer(-3), '-1'],
    ['a number without end', pressureAnswer('9'.repeat(900)), '-1'],
    ['a fraction', pressureAnswer('12.5'), '-1'],
    ['100 %', pressureAnswer(100), '1000'],
  ])('about pressure: %s', (_name, body, pressure) => {
    start([]);
    host.clock.advance(1000);
    for (const call of pending('stats')) call.respond({ headers: [[':status', '200']], body });
    worker.root.tick();
    expect(seen().pressure).toBe(pressure);
    expect(seen().alive, 'the agent lives, whatever the admin says').toBe('yes');
  });

  const whole = clustersAnswer(CLUSTER, [{ address: '127.0.3.1' }]);
  it.each([
    ['nothing', '', 'malformed'],
    ['half of it', whole.slice(0, whole.length / 2), 'malformed'],
    ['another document', '[]', 'malformed'],
    ['two documents', whole + whole, 'malformed'],
    ['brackets that do not match', whole.replace(']', '}'), 'malformed'],
    ['nesting without end', `{"cluster_statuses":${'['.repeat(100_000)}`, 'malformed'],
    ['another cluster', clustersAnswer('other', [{}]), 'absent'],
    ['no cluster', '{}', 'absent'],
  ])('about hosts: %s', (_name, body, result) => {
    start();
    pass(1, { hosts: () => body });
    expect(agent.failure).toBeUndefined();
    expect(seen().hosts).toBe(`${CLUSTER}=none`);
    expect(metric(`polls_total.kind.hosts.result.${result}`)).toBe(1);
  });

  it.each([
    ['half of it', whole.slice(0, whole.length / 2), true],
    ['two documents', whole + whole, true],
    ['another cluster', clustersAnswer('other', [{}]), false],
  ])('about hosts that were known: %s', (_name, body, kept) => {
    start();
    pass(1);
    pass(3, { hosts: () => body });
    expect(seen().hosts).toMatch(kept ? '=1 ' : '=none');
    pass(2, { hosts: () => body });
    expect(seen().hosts).toMatch('=none');
  });

  it.each([
    ['a port beyond 65,535', { port: 70_000 }],
    ['no address', { address: '' }],
    ['an address of 300 bytes', { address: 'a'.repeat(300) }],
    ['an address with a line feed', { address: '1.2.3.4\nx: y' }],
  ])('leave out a host with %s', (_name, bad) => {
    start();
    pass(1, { hosts: () => clustersAnswer(CLUSTER, [bad, { address: '127.0.3.2' }]) });
    expect(seen().hosts).toBe(`${CLUSTER}=1 127.0.3.2:80/up/1/0/0/0/0/0/0/0`);
  });

  it('of 100 MB are not read', { timeout: 120_000 }, () => {
    start();
    const huge = `{"cluster_statuses":[${' '.repeat(100 << 20)}`;
    const before = agent.instance.memory.size;
    pass(1, { hosts: () => huge });
    expect(agent.failure).toBeUndefined();
    expect(agent.instance.memory.size - before).toBe(0);
    expect(metric('polls_total.kind.hosts.result.too_many')).toBe(1);
  });

  it('of 16 MB are read in pieces, in no more memory than the lists take', { timeout: 120_000 }, () => {
    start();
    const long = clustersAnswer(CLUSTER, [{ address: '127.0.3.1' }]).replace('{', `{${' '.repeat(15 << 20)}`);
    const before = agent.instance.memory.size;
    pass(1, { hosts: () => long });
    expect(seen().hosts).toBe(`${CLUSTER}=1 127.0.3.1:80/up/1/0/0/0/0/0/0/0`);
    expect(agent.instance.memory.size - before).toBeLessThanOrEqual(128 << 10);
  });
});
