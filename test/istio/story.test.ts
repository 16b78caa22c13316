import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { playScene, STORY } from '../../harness/demo/story.ts';
import { faults } from '../e2e/story-stage.ts';
import { scale } from '../support/scale.ts';
import { type IstioStory, openIstioStory } from './story-stage.ts';

let story: IstioStory;

// The scenes and what they assert are those of the local demo; only who configures the Envoys differs.
describe.each([
  ['aggregate', '127.80'],
  ['composite', '127.75'],
] as const)("the lane story on Istio's configuration, with %s clusters", (fallback, network) => {
  beforeAll(async () => {
    const edit = (text: string) => `${text}istio: { fallback: ${fallback} }\n`;
    story = await openIstioStory({ network, scale: scale(), edit });
  }, 30 * 60_000);

  afterAll(() => story?.close());

  for (const scene of STORY) {
    it(`${scene.number}. ${scene.title}`, async () => {
      const result = await playScene(scene, story.stage);
      for (const { name, value, unit } of result.figures) console.log(`${scene.number}. ${name}: ${value} ${unit}`);
      expect(faults(result)).toEqual([]);
      expect(result.holds).toBe(true);
    });
  }
});
