/** Isolation by order of an operator: what the centre takes, keeps and hands to the agent of the instance. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryStore } from '../../harness/centre/store.ts';
import { Hall, hostOf } from './hall.ts';
import { storesOfFile } from './stores.ts';

const ONE = 'ratings-base-2';
const OTHER = 'ratings-base-3';

const stores = storesOfFile();

describe.each(stores.kinds)('with its state in %s', (kind) => {
  let hall: Hall;
  beforeEach(async () => {
    hall = new Hall(await stores.open(kind));
  });
  afterEach(() => {
    hall.centre.isolations.close();
    return hall.store.close();
  });

  it('an order is heard by the agent that waits, and by nobody else', async () => {
    const waiting = hall.question(ONE);
    const elsewhere = hall.question(OTHER);
    let answered = false;
    void elsewhere.then(() => {
      answered = true;
    });
    const given = await hall.order(ONE);
    expect(given).toMatchObject({ instance: ONE, isolated: true, by: 'ops', heard: false });
    const { version } = given;
    expect(await waiting).toEqual({ instance: ONE, isolated: true, version, expiresInMs: 60_000 });
    expect(answered).toBe(false);
  });

  it('is said again to who asks without knowing it, such as a proxy that has been killed', async () => {
    const { version } = await hall.order(ONE);
    expect(await hall.question(ONE)).toMatchObject({ isolated: true, version });
    expect(await hall.question(ONE)).toMatchObject({ isolated: true, version });
  });

  it('is known to be heard once its agent asks for what is newer', async () => {
    const { version } = await hall.order(ONE);
    const next = hall.question(ONE, version);
    await vi.waitFor(() => expect(hall.centre.isolations.list()).toMatchObject([{ instance: ONE, heard: true }]));
    const released = await hall.order(ONE, false);
    expect(released.version).toBeGreaterThan(version);
    expect(await next).toEqual({ instance: ONE, isolated: false, version: released.version, expiresInMs: 0 });
    expect(hall.centre.isolations.list()).toMatchObject([{ isolated: false, heard: false }]);
  });

  it('ends by another one, and may be given again', async () => {
    const versions = [await hall.order(ONE), await hall.order(ONE), await hall.order(ONE, false)].map(
      (one) => one.version,
    );
    expect([...versions].sort((a, b) => a - b)).toEqual(versions);
    expect(await hall.question(ONE)).toMatchObject({ isolated: false });
  });

  it('sent again is refused as a replay', async () => {
    await hall.order(ONE, true, { sequence: 8_000_000_000_000_000 });
    await hall.order(ONE, false, { sequence: 8_000_000_000_000_001 });
    await expect(hall.order(ONE, true, { sequence: 8_000_000_000_000_000 })).rejects.toMatchObject({ status: 409 });
    expect(await hall.question(ONE)).toMatchObject({ isolated: false });
    expect(hall.centre.metrics.get('refused_total', { reason: 'replay' })).toBe(1);
  });

  it.each([
    ['an instance that is not known', 'ratings-base-9', /found ratings-base-9, expected one of the mesh/],
    ['the one that takes no orders', 'ratings-base-1', /takes no orders from the centre/],
    ['the only one of a service', 'alone-base-1', /takes no orders from the centre/],
  ])('of %s is refused, forced or not', async (_what, instance, message) => {
    for (const force of [false, true]) await expect(hall.order(instance, true, { force })).rejects.toThrow(message);
    expect(hall.centre.isolations.list()).toEqual([]);
  });

  it('of the last usable one is refused unless it is forced: others are isolated, out by a verdict, or do not answer', async () => {
    hall.sick.add(hostOf(1));
    await hall.order(OTHER);
    await expect(hall.order(ONE)).rejects.toThrow(/the last usable one of ratings/);
    expect(hall.centre.metrics.get('spared_total')).toBe(1);
    expect(await hall.order(ONE, true, { force: true })).toMatchObject({ isolated: true });
    await hall.order(OTHER, false);
    await hall.order(ONE, false);
    expect(await hall.order(ONE), 'the other one serves').toMatchObject({ isolated: true });
    await hall.order(ONE, false);
    hall.sick.add(hostOf(3));
    await expect(hall.order(ONE)).rejects.toThrow(/the last usable one/);
    hall.unasked.add(hostOf(3));
    expect(await hall.order(ONE), 'nobody can ask the other one').toMatchObject({ isolated: true });
  });

  it('counts against the bounds of verdicts', async () => {
    await hall.order(ONE);
    for (const agent of ['a', 'b']) await hall.report(agent, [3], [], 'ratings');
    await hall.pass(500);
    expect(hall.out(), 'one of three is out already').toEqual([]);
    await hall.order(ONE, false);
    for (const agent of ['a', 'b']) await hall.report(agent, [3], [], 'ratings');
    await hall.pass(500);
    expect(hall.out()).toEqual([hostOf(3)]);
  });

  it('is told to the proxy of that instance alone', async () => {
    await expect(hall.question(ONE, 0, Hall.agent(OTHER))).rejects.toMatchObject({ status: 403 });
    await expect(hall.question('ratings-base-9')).rejects.toMatchObject({ status: 409 });
    const shared = { ...Hall.agent('ratings'), instances: new Set([ONE, OTHER]) };
    await hall.order(ONE);
    expect(await hall.question(ONE, 0, shared)).toMatchObject({ isolated: true });
  });

  it('keeps one question of an instance: the second is answered for the first', async () => {
    const first = hall.question(ONE);
    const second = hall.question(ONE);
    expect(await first).toMatchObject({ isolated: false, version: 0, expiresInMs: 0 });
    await hall.order(ONE);
    expect(await second).toMatchObject({ isolated: true });
  });
});

it('a question that nothing happens to is answered after 20 seconds at most', async () => {
  vi.useFakeTimers();
  try {
    const hall = new Hall(new MemoryStore());
    const asked = hall.question(ONE);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await asked).toEqual({ instance: ONE, isolated: false, version: 0, expiresInMs: 0 });
  } finally {
    vi.useRealTimers();
  }
});

it('a centre that has lost its memory says so at once, by version 0', async () => {
  expect(await new Hall(new MemoryStore()).question(ONE, 7)).toMatchObject({ isolated: false, version: 0 });
});

describe.skipIf(!stores.kinds.includes('redis'))('replicas', () => {
  it('hand on what another one has been told, and say nothing while they cannot know', async () => {
    const [one, two] = [
      new Hall(await stores.openShared(), { apply: false }, 'one'),
      new Hall(await stores.openShared(), { apply: false }, 'two'),
    ];
    const waiting = two.question(ONE);
    const { version } = await one.order(ONE);
    await two.pass(500);
    expect(await waiting).toMatchObject({ isolated: true, version });
    two.now += 6_000;
    await expect(two.question(ONE)).rejects.toThrow(/shared state/);
    await one.store.close();
    await two.store.close();
  });
});
