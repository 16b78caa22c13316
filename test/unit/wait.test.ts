import { expect, it } from 'vitest';
import { type Clock, found, GiveUp, notYet, waitUntil } from '../../harness/process/wait.ts';

/** Sleeping is instant and moves the time on, so no test here waits. */
function fakeClock(): Clock & { slept: number[] } {
  const clock = {
    time: 0,
    slept: [] as number[],
    now: () => clock.time,
    sleep: async (ms: number) => {
      clock.slept.push(ms);
      clock.time += ms;
    },
  };
  return clock;
}

it('looks until a look is done and returns what it found', async () => {
  const clock = fakeClock();
  let looks = 0;
  const value = await waitUntil('third', () => (++looks === 3 ? found(looks) : notYet('early')), {
    deadlineMs: 1_000,
    intervalMs: 10,
    clock,
  });
  expect(value).toBe(3);
  expect(clock.slept).toEqual([10, 10]);
});

it('ends at the deadline with the last reason, thrown or returned', async () => {
  const look = (why: () => never | ReturnType<typeof notYet>) =>
    waitUntil('door open', why, { deadlineMs: 100, intervalMs: 30, clock: fakeClock() });
  await expect(look(() => notYet('still shut'))).rejects.toThrow(
    'door open: not within 100 ms (last seen: still shut)',
  );
  await expect(
    look(() => {
      throw new Error('no handle');
    }),
  ).rejects.toThrow('last seen: no handle');
});

it('gives up at once when the thing can no longer happen', async () => {
  const clock = fakeClock();
  const look = () => {
    throw new GiveUp('the house burnt down');
  };
  await expect(waitUntil('door open', look, { deadlineMs: 1_000, clock })).rejects.toThrow('the house burnt down');
  expect(clock.slept).toEqual([]);
});
