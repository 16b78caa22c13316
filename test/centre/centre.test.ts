import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../harness/centre/store.ts';
import { Hall, hostOf } from './hall.ts';
import { storesOfFile } from './stores.ts';

const stores = storesOfFile();

describe.each(stores.kinds)('with its state in %s', (kind) => {
  let hall: Hall;
  beforeEach(async () => {
    hall = new Hall(await stores.open(kind));
  });
  afterEach(() => hall.store.close());

  it('believes two of those who know a host', async () => {
    await hall.report('a', [1]);
    await hall.pass(500);
    expect(hall.out(), 'one alone may have a bad path').toEqual([]);
    await hall.report('b', [1]);
    await hall.pass(500);
    expect(hall.out()).toEqual([hostOf(1)]);
  });

  it('asks for 30 % of many, and counts those who have nothing against it', async () => {
    const many = Array.from({ length: 10 }, (_, n) => `good-${n}`);
    for (const agent of many) await hall.report(agent, [], [1]);
    await hall.report('a', [1]);
    await hall.report('b', [1]);
    await hall.pass(500);
    expect(hall.out(), '2 of 12').toEqual([]);
    await hall.report('c', [1]);
    await hall.report('d', [1]);
    await hall.pass(500);
    expect(hall.out(), '4 of 14 are less than 30 %').toEqual([]);
    await hall.report('e', [1]);
    await hall.pass(500);
    expect(hall.out(), '5 of 15').toEqual([hostOf(1)]);
  });

  it('believes one whom its own probe confirms', async () => {
    hall.sick.add(hostOf(2));
    await hall.report('a', [2]);
    await hall.pass(500);
    expect(hall.out()).toEqual([hostOf(2)]);
    expect(hall.centre.list()[0]?.reason).toContain('probe');
  });

  it('takes a host that it cannot ask neither for bad nor for well', async () => {
    hall.unasked.add(hostOf(2)).add(hostOf(3));
    await hall.report('a', [2, 3]);
    await hall.pass(500);
    expect(hall.out(), 'one complaint').toEqual([]);
    expect(hall.centre.metrics.get('probes_total', { result: 'not-asked' })).toBe(2);
    await hall.report('b', [3]);
    await hall.pass(500);
    expect(hall.out(), 'two that agree').toEqual([hostOf(3)]);
    await hall.pass(40_000);
    expect(hall.centre.list(), 'neither acquitted nor prolonged').toEqual([]);
  });

  it('takes no one twice: the same identity is one voice however often it speaks', async () => {
    for (let i = 0; i < 5; i++) await hall.report('a', [1]);
    await hall.pass(500);
    expect(hall.out()).toEqual([]);
  });

  it('does not add up what was said ten seconds apart, nor by who hardly knows the host', async () => {
    await hall.report('a', [1]);
    await hall.pass(10_500);
    await hall.report('b', [1]);
    await hall.pass(500);
    expect(hall.out()).toEqual([]);
    const few = { service: 'reviews', host: hostOf(1), requests: 19, errors: 19, listed: true };
    for (const agent of ['c', 'd', 'e']) await hall.sync(agent, { hosts: [few] });
    await hall.pass(500);
    expect(hall.out()).toEqual([]);
  });

  it('never puts out more than 30 % of a service, whoever says so', async () => {
    const all = Array.from({ length: 10 }, (_, n) => n + 1);
    for (const n of all) hall.sick.add(hostOf(n));
    for (const agent of ['a', 'b', 'c']) for (const n of all) await hall.report(agent, [n]);
    await hall.pass(3_000);
    expect(hall.out().length).toBeLessThanOrEqual(3);
  });

  it('counts what callers keep away from by themselves together with its own verdicts', async () => {
    for (const agent of ['a', 'b']) await hall.report(agent, [1, 2, 3, 4]);
    await hall.pass(500);
    // Four of ten are out locally already, more than three: nothing is added to it.
    expect(hall.out()).toEqual([]);
    expect(hall.centre.metrics.get('spared_total')).toBeGreaterThan(0);
  });

  it('bounds what goes out by the instances that there are now', async () => {
    const left = [1, 2, 3, 4].map((n) => ({ host: hostOf(n), instance: `reviews-base-${n}` }));
    const rest = { healthPath: '/health', tls: null, obeys: true };
    hall.centre.learn(new Map([['reviews', left.map((one) => ({ ...one, ...rest }))]]));
    hall.sick.add(hostOf(1)).add(hostOf(2));
    await hall.report('a', [1, 2]);
    await hall.pass(1_000);
    expect(hall.out(), '30 % of four').toHaveLength(1);
  });

  it('never puts out the last instance', async () => {
    hall.sick.add(hostOf(1));
    for (const agent of ['a', 'b']) await hall.report(agent, [1], [], 'alone');
    await hall.pass(1_000);
    expect(hall.out()).toEqual([]);
  });

  it('lets a verdict end: acquitted when the host answers, renewed while it does not', async () => {
    for (const agent of ['a', 'b']) await hall.report(agent, [1, 2], [], 'reviews');
    await hall.pass(500);
    expect(hall.out()).toEqual([hostOf(1), hostOf(2)]);
    hall.sick.add(hostOf(2));
    await hall.pass(40_000);
    expect(hall.out()).toEqual([hostOf(2)]);
    await hall.pass(200_000);
    expect(hall.out()).toEqual([hostOf(2)]);
    hall.sick.delete(hostOf(2));
    await hall.pass(60_000);
    expect(hall.out()).toEqual([]);
  });

  it('says each verdict once to who has heard it, and only to who calls the service', async () => {
    await hall.report('a', [1]);
    await hall.report('b', [1]);
    await hall.pass(500);
    const first = await hall.sync('a', {});
    expect(first.verdicts).toMatchObject([{ service: 'reviews', host: hostOf(1), verdict: 'quarantine' }]);
    expect(first.verdicts[0]?.expiresInMs).toBeLessThanOrEqual(60_000);
    expect((await hall.sync('a', { since: first.version })).verdicts).toEqual([]);
    expect((await hall.sync('c', { services: ['ratings'] })).verdicts).toEqual([]);
    const bound = Hall.agent('bound', ['ratings']);
    expect((await hall.sync('bound', { services: ['reviews', 'ratings'] }, bound)).verdicts).toEqual([]);
    expect(first.nextMs).toBeLessThan(2_500);
    expect((await hall.sync('c', { services: ['ratings'] })).nextMs).toBeGreaterThan(6_000);
  });

  it('gives versions that rise, also after a restart', async () => {
    for (const agent of ['a', 'b']) await hall.report(agent, [1, 2]);
    await hall.pass(500);
    const versions = hall.centre.list().map(({ version }) => version);
    expect(new Set(versions).size).toBe(2);
    const again = new Hall(kind === 'memory' ? new MemoryStore() : hall.store);
    for (const agent of ['a', 'b']) await again.report(agent, [3]);
    again.now = hall.now + 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    await again.pass(500);
    const later = again.centre.list().find(({ host }) => host === hostOf(3))?.version ?? 0;
    expect(later).toBeGreaterThan(Math.max(...versions));
  });

  it('refuses a report that is sent again', async () => {
    const request = { sequence: 7_000_000_000_000_000, since: 0, services: [], hosts: [] };
    await hall.centre.sync(Hall.agent('a'), request);
    await expect(hall.centre.sync(Hall.agent('a'), request)).rejects.toMatchObject({ status: 409 });
    await hall.centre.sync(Hall.agent('b'), request);
    expect(hall.centre.metrics.get('refused_total', { reason: 'replay' })).toBe(1);
  });

  it('passes over rows on unknown instances and on services of others', async () => {
    const row = { service: 'reviews', host: hostOf(1), requests: 100, errors: 50, listed: true };
    const hosts = [{ ...row, host: '10.9.8.7:80' }, { ...row, service: 'secrets' }, { ...row, errors: 101 }, row];
    expect((await hall.sync('a', { hosts })).refused).toBe(3);
    expect((await hall.sync('b', { hosts }, Hall.agent('b', ['ratings']))).refused).toBe(4);
  });
});

describe('recovery', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'cw-recover-'));
    const command = join(dir, 'restart.sh');
    writeFileSync(command, `#!/bin/sh\necho "$@" >> ${dir}/said\nenv >> ${dir}/env\n`);
    chmodSync(command, 0o700);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  async function longOut(apply: boolean): Promise<Hall> {
    const hall = new Hall(new MemoryStore(), { apply, command: join(dir, 'restart.sh') });
    hall.sick.add(hostOf(1));
    for (const agent of ['a', 'b']) await hall.report(agent, [1]);
    await hall.pass(120_000);
    return hall;
  }

  it('is only counted unless it is asked for', async () => {
    const hall = await longOut(false);
    expect(hall.centre.metrics.get('recoveries_total', { result: 'dry-run' })).toBe(1);
    expect(() => readFileSync(join(dir, 'said'))).toThrow();
    expect(hall.centre.list()).toMatchObject([{ verdict: 'restart' }]);
  });

  it('runs the one program once, without a shell and without our environment', async () => {
    const hall = await longOut(true);
    expect(readFileSync(join(dir, 'said'), 'utf8')).toBe('reviews reviews-base-1 127.0.3.1:9080\n');
    expect(readFileSync(join(dir, 'env'), 'utf8')).not.toContain('HOME=');
    expect(hall.centre.metrics.get('recoveries_total', { result: 'done' })).toBe(1);
  });

  it('of one instance happens once in ten minutes', async () => {
    const hall = await longOut(false);
    hall.sick.clear();
    await hall.pass(60_000);
    expect(hall.out()).toEqual([]);
    hall.sick.add(hostOf(1));
    for (const agent of ['a', 'b']) await hall.report(agent, [1]);
    await hall.pass(60_000);
    expect(hall.centre.metrics.get('recoveries_total', { result: 'limited' })).toBe(1);
  });
});

describe.skipIf(!stores.kinds.includes('redis'))('replicas', () => {
  it('decide one at a time, and the next takes over from one that is gone', async () => {
    const [one, two] = [
      new Hall(await stores.openShared(), { apply: false }, 'one'),
      new Hall(await stores.openShared(), { apply: false }, 'two'),
    ];
    await one.report('a', [1]);
    await two.report('b', [1]);
    await one.pass(500);
    await two.pass(500);
    expect(one.out()).toEqual([hostOf(1)]);
    expect(two.out()).toEqual([hostOf(1)]);
    expect(two.centre.metrics.get('decisions_total', { verdict: 'quarantine' })).toBe(0);
    await one.store.close();
    for (const agent of ['a', 'b']) await two.report(agent, [2]);
    await new Promise((resolve) => setTimeout(resolve, 1_600));
    await two.pass(500);
    expect(two.out()).toEqual([hostOf(1), hostOf(2)]);
    await two.store.close();
  });
});
