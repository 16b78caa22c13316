import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Stage } from '../../harness/demo/stage.ts';
import { playScene, STORY } from '../../harness/demo/story.ts';
import { scale } from '../support/scale.ts';
import { faults, openStory } from './story-stage.ts';

let stage: Stage;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ stage, close } = await openStory({ network: '127.70', scale: scale() }));
});

afterAll(() => close());

// In the order of the story: the first scene makes a lane that later ones use.
describe('the lane story on real Envoys', () => {
  for (const scene of STORY) {
    it(`${scene.number}. ${scene.title}`, async () => {
      const result = await playScene(scene, stage);
      for (const { name, value, unit } of result.figures) console.log(`${scene.number}. ${name}: ${value} ${unit}`);
      expect(faults(result)).toEqual([]);
      expect(result.holds).toBe(true);
    });
  }
});
