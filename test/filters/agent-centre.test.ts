/** The agent's client of the healing centre, with the filter that obeys it; the test plays the centre. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type SyncRequest, SyncRequestSchema, type VerdictAnswer } from '../../harness/centre/api.ts';
import { checkerOf } from '../../harness/config/schema-errors.ts';
import { address, CentreEmulation } from '../support/centre-emulation.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const checkReport = checkerOf(SyncRequestSchema);
const SERVICES = [
  { name: 'reviews', hosts: 3 },
  { name: 'ratings', hosts: 10 },
];
const ALL = [1, 2, 3];

let module: Uint8Array<ArrayBuffer>;
let mesh: CentreEmulation;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

beforeEach(() => {
  mesh = new CentreEmulation(module, SERVICES);
});

const refused = (reason: string) => mesh.metric(`agent_centre_refused_total.reason.${reason}`);
const synced = (result: string) => mesh.metric(`agent_centre_syncs_total.result.${result}`);

/** So many seconds of 40 requests for each host of `reviews`, of which some fail. */
function traffic(seconds: number, bad: readonly number[] = []): void {
  for (let i = 0; i < seconds * 40; i++) {
    for (const n of ALL) mesh.send('reviews', n, bad.includes(n) ? '503' : '200');
    mesh.host.clock.advance(25);
  }
}

function requestsOf(reports: readonly SyncRequest[], n: number): number {
  const rows = reports.flatMap(({ hosts }) => hosts).filter(({ host }) => host === address(n));
  return rows.reduce((all, { requests }) => all + requests, 0);
}

describe('a report', () => {
  it('is what the centre takes: services, and what is new of each host', () => {
    expect(mesh.sync()).toMatchObject({ since: 0, services: ['reviews', 'ratings'], hosts: [] });
    traffic(1);
    const reports = [mesh.sync(), mesh.sync()];
    traffic(1);
    reports.push(mesh.sync(), mesh.sync());
    for (const [i, report] of reports.entries()) {
      expect(checkReport(report)).toEqual([]);
      expect(report.since).toBe(mesh.version - reports.length + i);
      expect(report.sequence).toBeGreaterThan(reports[i - 1]?.sequence ?? 0);
    }
    for (const n of ALL) expect(requestsOf(reports, n)).toBe(80);
    expect(mesh.sync().hosts, 'nothing has happened').toEqual([]);
  });

  it('goes out at once when a host is listed, and often while it is', () => {
    traffic(1);
    mesh.sync(mesh.answer([], { nextMs: 60_000 }));
    traffic(1.5, [2]);
    const before = mesh.host.clock.ms;
    const report = mesh.sync(mesh.answer([], { nextMs: 60_000 }));
    expect(report.hosts.find(({ host }) => host === address(2))).toMatchObject({ listed: true });
    expect(mesh.host.clock.ms - before).toBeLessThanOrEqual(2_000);
    mesh.sync(mesh.answer([], { nextMs: 60_000 }));
    const again = mesh.host.clock.ms;
    expect(mesh.sync().hosts).toMatchObject([{ host: address(2), requests: 0, listed: true }]);
    expect(mesh.host.clock.ms - again).toBeLessThanOrEqual(4_000);
  });

  it('that was lost is in the next one', () => {
    mesh.sync();
    traffic(1);
    const lost = [mesh.sync('', '503'), mesh.sync('', '503')];
    expect(requestsOf(lost, 3)).toBeGreaterThan(0);
    traffic(1);
    expect(requestsOf([mesh.sync(), mesh.sync()], 3)).toBe(80);
  });

  it('is not sent without a centre, nor by a proxy that judges nobody', () => {
    const without = new CentreEmulation(module, SERVICES, { centre: undefined } as object);
    without.pass(10);
    expect(without.agent.root.httpCalls.filter(({ cluster }) => cluster !== 'causeway.admin')).toEqual([]);
    expect(without.host.sharedData.get('', 'v1/outlier/report')).toBeUndefined();
    mesh.worker.shutdown();
    mesh.pass(15, (call) => call.fail());
    const before = mesh.agent.root.httpCalls.length;
    mesh.pass(30);
    expect(mesh.agent.root.httpCalls.slice(before).filter(({ cluster }) => cluster === 'causeway.centre')).toEqual([]);
  });

  it('carries no credential: that is added where the module cannot see it', () => {
    mesh.pass(2);
    const [call] = mesh.syncs;
    expect(call?.headers.pairs().map(([name]) => name)).toEqual([
      ':method',
      ':path',
      ':authority',
      'content-type',
      'content-length',
    ]);
  });
});

describe('a verdict', () => {
  it('takes a host out that this proxy has never seen fail, and lets it back at its end', () => {
    mesh.sync([{ host: address(2) }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
    expect(mesh.metric('outlier_blacklist_listed_total.service.reviews.reason.centre')).toBe(1);
    expect(mesh.host.messages().join()).toContain('127.0.0.2:9080 of reviews, lane base: out while the healing centre');
    // Nobody answers any more: nothing freezes.
    mesh.pass(32, (call) => call.fail());
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    expect(mesh.metric('outlier_blacklist_hosts_out.service.reviews')).toBe(0);
  });

  it('is taken back by `ok`', () => {
    mesh.sync([{ host: address(2), verdict: 'restart' }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
    mesh.sync([{ host: address(2), verdict: 'ok' }]);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
  });

  it('and our own listing of the same host are one', () => {
    traffic(1);
    traffic(1.5, [2]);
    mesh.sync([{ host: address(2) }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
    expect(mesh.metric('outlier_blacklist_verdicts_spared')).toBe(0);
    // The host is probed and comes back by steps only after the verdict.
    mesh.sync([{ host: address(2), verdict: 'ok' }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
  });

  it('gives way to what this proxy sees itself', () => {
    mesh.sync([{ host: address(1) }]);
    expect(mesh.allowed('reviews', 3)).toEqual([2, 3]);
    traffic(1);
    traffic(1.5, [3]);
    expect(mesh.allowed('reviews', 3), 'one of three at most, and the one that fails').toEqual([1, 2]);
    expect(mesh.metric('outlier_blacklist_verdicts_spared')).toBe(1);
  });

  it('survives the worker that judges', () => {
    const second = mesh.host.vm({ vmConfiguration: 'outbound', rootId: 'outlier-blacklist', configuration: {} });
    second.shutdown();
    mesh.sync([{ host: address(2) }]);
    expect(mesh.agent.failure).toBeUndefined();
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
  });

  it('for every host of a service takes out one of three, and three of ten', () => {
    const every = [
      ...ALL.map((n) => mesh.quarantine(n)),
      ...Array.from({ length: 10 }, (_, n) => mesh.quarantine(n + 1, 'ratings')),
    ];
    mesh.sync(every.map(({ version: _, ...one }) => ({ ...one, version: mesh.version + 1 })));
    expect(mesh.allowed('reviews', 3)).toHaveLength(2);
    const allowed = mesh.allowed('ratings', 10);
    expect(allowed).toHaveLength(7);
    expect(mesh.metric('outlier_blacklist_verdicts_spared')).toBe(9);
    // Asked again and again, the same ones stay in.
    for (let i = 0; i < 5; i++) {
      mesh.sync(every.reverse().map(({ version: _, ...one }) => ({ ...one, version: mesh.version + 1 })));
      expect(mesh.allowed('ratings', 10)).toEqual(allowed);
    }
  });

  it('never takes the last host', () => {
    mesh = new CentreEmulation(module, [{ name: 'reviews', hosts: 1 }]);
    mesh.sync([{ host: address(1) }]);
    expect(mesh.allowed('reviews', 1)).toEqual([1]);
    expect(mesh.metric('outlier_blacklist_verdicts_spared')).toBe(1);
  });
});

describe('bad input: a verdict', () => {
  const lies: [string, string, Partial<VerdictAnswer>][] = [
    ['about a service that this proxy does not call', 'service', { service: 'payments' }],
    ['that would hold for an hour', 'expiry', { expiresInMs: 3_600_000 }],
    ['about no address', 'host', { host: 'reviews-base-1' }],
    ['about an address of 300 bytes', 'host', { host: `${'1'.repeat(300)}:80` }],
    ['with an old version', 'stale', { version: 1 }],
    ['with a version beyond its answer’s', 'stale', { version: 9_007_199_254_740_991 }],
  ];
  it.each(lies)('%s is not believed', (_what, reason, lie) => {
    mesh.sync([]);
    mesh.sync([{ host: address(2), ...lie }]);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    expect(refused(reason)).toBe(1);
    expect(mesh.metric('agent_centre_verdicts')).toBe(0);
  });

  it('about an instance that is not known takes nothing out, and does not count against the bounds', () => {
    mesh.sync([{ host: '10.9.8.7:80' }, { host: address(2) }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
  });

  it('that is sent again is refused, alone and with its whole answer', () => {
    const old = mesh.answer([{ host: address(2) }]);
    mesh.sync(old);
    mesh.sync([{ host: address(2), verdict: 'ok' }]);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    mesh.sync(old);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    expect(synced('stale')).toBe(1);
    mesh.sync([{ ...(JSON.parse(old) as { verdicts: VerdictAnswer[] }).verdicts[0] }]);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    expect(refused('stale')).toBe(1);
  });
});

describe('bad input: an answer', () => {
  const good = JSON.stringify({ version: 5, verdicts: [], nextMs: 2_000, refused: 0 });
  it.each([
    ['that is empty', ''],
    ['that is no JSON', '<html>'],
    ['cut off', good.slice(0, -1)],
    ['twice', good + good],
    ['without a version', '{"verdicts":[],"nextMs":2000}'],
    ['without a time', '{"verdicts":[],"version":5}'],
    ['without verdicts', '{"version":5,"nextMs":2000}'],
    ['with a fraction as version', '{"version":5.5,"verdicts":[],"nextMs":2000}'],
    ['with a negative version', '{"version":-5,"verdicts":[],"nextMs":2000}'],
    ['with a version beyond 2^53', '{"version":9007199254740993,"verdicts":[],"nextMs":2000}'],
    ['with a key twice', '{"version":5,"version":6,"verdicts":[],"nextMs":2000}'],
    ['with a verdict that is none', '{"version":5,"verdicts":[{"verdict":"kill"}],"nextMs":2000}'],
    ['with nesting without end', `{"version":5,"nextMs":2000,"x":${'['.repeat(100_000)}`],
    ['of 513 verdicts', ''],
    ['of 300 KiB', `${good}${' '.repeat(300 << 10)}`],
  ])('%s changes nothing', (what, body) => {
    mesh.sync([{ host: address(2) }]);
    const many = Array.from({ length: 513 }, () => mesh.quarantine(3));
    mesh.sync(what === 'of 513 verdicts' ? mesh.answer(many) : body);
    expect(mesh.agent.failure).toBeUndefined();
    expect(synced('malformed')).toBe(1);
    expect(mesh.allowed('reviews', 3), 'what held holds').toEqual([1, 3]);
    mesh.pass(35, (call) => call.respond({ headers: [[':status', '200']], body }));
    expect(mesh.allowed('reviews', 3), 'and ends').toEqual(ALL);
  });

  it('of 100 MB is not read', { timeout: 120_000 }, () => {
    const before = mesh.agent.instance.memory.size;
    mesh.sync(`{"verdicts":[${' '.repeat(100 << 20)}`);
    expect(mesh.agent.failure).toBeUndefined();
    expect(mesh.agent.instance.memory.size - before).toBeLessThanOrEqual(512 << 10);
    expect(synced('malformed')).toBe(1);
  });

  it('with a version far ahead cannot make this proxy deaf', () => {
    mesh.sync(JSON.stringify({ version: 9_007_199_254_740_991, verdicts: [], nextMs: 2_000, refused: 0 }));
    expect(synced('stale')).toBe(1);
    mesh.sync([{ host: address(2) }]);
    expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
  });

  it.each([
    ['401', 'denied'],
    ['403', 'denied'],
    ['409', 'failed'],
    ['429', 'failed'],
    ['503', 'failed'],
  ])('%s is counted as %s, and asked again less and less often', (status, result) => {
    let calls = 0;
    mesh.pass(120, (call) => {
      calls++;
      call.respond({ headers: [[':status', status]], body: '{"error":"no"}' });
    });
    expect(synced(result)).toBe(calls);
    expect(calls).toBeGreaterThanOrEqual(6);
    expect(calls).toBeLessThanOrEqual(16);
    expect(mesh.allowed('reviews', 3)).toEqual(ALL);
  });

  it('that asks to be left alone for ever, or to be asked at once, is not obeyed', () => {
    mesh.sync(mesh.answer([], { nextMs: 4_000_000_000 }));
    const before = mesh.host.clock.ms;
    for (let i = 0; i < 4; i++) mesh.pass(20);
    expect(mesh.syncs.length + mesh.agent.root.httpCalls.length).toBeGreaterThan(0);
    expect(synced('failed'), 'the one that nobody answered in 2 s').toBeGreaterThan(0);
    mesh.sync(mesh.answer([], { nextMs: 0 }));
    let calls = 0;
    mesh.pass(10, (call) => {
      calls++;
      call.respond({ headers: [[':status', '200']], body: mesh.answer([], { nextMs: 0 }) });
    });
    expect(calls).toBeLessThanOrEqual(11);
    expect(mesh.host.clock.ms).toBeGreaterThan(before);
  });

  it('never comes: one call waits at a time', () => {
    let most = 0;
    mesh.pass(60, () => {
      most = Math.max(most, mesh.syncs.length);
    });
    expect(most).toBe(1);
    expect(synced('failed')).toBeGreaterThan(3);
  });

  it('of a centre whose cluster does not exist is not waited for', () => {
    const without = new CentreEmulation(module, SERVICES, { centre: { cluster: 'nowhere' } });
    without.pass(10);
    expect(without.agent.failure).toBeUndefined();
  });
});

describe('bad input in shared data', () => {
  it.each(['v1/outlier/report', 'v1/centre/verdicts'])('%s is passed over', (key) => {
    const stamp = (bytes: number) => {
      const head = Buffer.alloc(bytes, 0xff);
      head.writeBigInt64LE(BigInt(mesh.host.clock.ms), 0);
      return head.toString('latin1');
    };
    for (const value of [
      '',
      '\0',
      'x'.repeat(15),
      '\xff'.repeat(400),
      stamp(16),
      stamp(17),
      stamp(500),
      stamp(60_000),
    ]) {
      mesh.host.sharedData.set('', key, value, 0);
      mesh.pass(2, (call) => call.respond({ headers: [[':status', '200']], body: mesh.answer([]) }));
      expect([mesh.agent.failure, mesh.worker.failure]).toEqual([undefined, undefined]);
      expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    }
  });

  it('an hour’s jump of the clock, either way, ends what holds, and new verdicts are heard', () => {
    for (const jump of [-3_600_000, 3_600_000]) {
      mesh.sync([{ host: address(2) }]);
      expect(mesh.allowed('reviews', 3)).toEqual([1, 3]);
      mesh.host.clock.jump(jump);
      mesh.version = mesh.host.clock.ms;
      mesh.pass(3);
      expect(mesh.allowed('reviews', 3)).toEqual(ALL);
    }
  });
});
