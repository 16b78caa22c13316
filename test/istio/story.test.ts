import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { playScene, STORY } from '../../harness/demo/story.ts';
import { faults } from '../e2e/story-stage.ts';
import { scale } from '../support/scale.ts';
import { type IstioStory, openIstioStory } from './story-stage.ts';

let story: IstioStory;

beforeAll(async () => {
  story = await openIstioStory({ network: '127.80', scale: scale() });
}, 30 * 60_000);

afterAll(() => story?.close());

// The scenes and what they assert are those of the local demo; only who configures the Envoys differs.
describe("the lane story on Istio's configuration", () => {
  for (const scene of STORY) {
    it(`${scene.number}. ${scene.title}`, async () => {
      const result = await playScene(scene, story.stage);
      for (const { name, value, unit } of result.figures) console.log(`${scene.number}. ${name}: ${value} ${unit}`);
      expect(faults(result)).toEqual([]);
      expect(result.holds).toBe(true);
    });
  }
});
