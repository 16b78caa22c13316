import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FILTERS, type Scene } from '../../harness/demo/scene.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { playScene, STORY } from '../../harness/demo/story.ts';
import { scale } from '../support/scale.ts';
import { faults, openStory, withDev2 } from './story-stage.ts';

/**
 * Each filter in turn is switched off: the scenes that need it must fail, the others must hold. A scene that holds without
 * what it is about would show nothing.
 */

const SCALE = scale();

let stage: Stage;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ stage, close } = await openStory({ network: '127.71', scale: 200, claimDeadlineMs: 2_500, edit: withDev2 }));
});

afterAll(() => close());

// Scene 0 has made the lane already; 6 waits for a lane that cannot come back without its filter; 12 switches by itself.
const PLAYED: readonly Scene[] = STORY.filter(({ number }) => ![0, 6, 12].includes(number));

/** story.test.ts holds all scenes on such a mesh; in a scaled run a few show that they hold on this one. */
const HELD = SCALE > 1 ? PLAYED.filter(({ number }) => number <= 4) : PLAYED;

describe('with every filter on', () => {
  it('holds, so that what fails below fails for want of a filter', async () => {
    for (const scene of HELD) expect([scene.title, ...faults(await playScene(scene, stage))]).toEqual([scene.title]);
  });
});

/** Scene 8 applies five configurations: in a scaled run it is played without its own filter alone. */
function playedWithout(filter: (typeof FILTERS)[number]): readonly Scene[] {
  const needing = PLAYED.filter(({ needs }) => needs.includes(filter));
  return SCALE === 1 || filter === 'trace-propagation' ? needing : needing.filter(({ number }) => number !== 8);
}

describe.each(FILTERS)('without %s', (filter) => {
  it('fails the scenes that need it', async () => {
    await stage.under(
      (config) => {
        config.filters = { ...config.filters, [filter]: { enabled: false } };
      },
      async () => {
        const survived: string[] = [];
        for (const scene of playedWithout(filter)) {
          // Claims are not what this is about: the applications' own evidence must show it.
          const { exchanges, checks } = await playScene({ ...scene, compare: false }, stage);
          if (exchanges.every(({ holds }) => holds) && checks.every(({ holds }) => holds)) survived.push(scene.title);
        }
        expect(survived).toEqual([]);
        const [baseline] = PLAYED;
        if (!baseline) throw new Error('no scene');
        expect(faults(await playScene({ ...baseline, compare: false }, stage))).toEqual([]);
      },
    );
  });
});
