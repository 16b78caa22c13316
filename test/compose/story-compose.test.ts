import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStage } from '../../harness/demo/open.ts';
import { meshFile } from '../../harness/demo/run.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { playScene, STORY } from '../../harness/demo/story.ts';
import { ComposeDriver } from '../../harness/drivers/compose.ts';
import { COMPOSE_PREFIX, gatewayAddress } from '../../harness/drivers/compose-file.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { built, faults, withDev2 } from '../e2e/story-stage.ts';
import { bookinfoBundle } from '../e2e/support.ts';
import { testImages, whyNoEngine } from './engine.ts';

/** What of the story is about routing; outages and rates are measured with processes. */
const PLAYED = [1, 2, 3, 4, 7, 9, 11, 13];

const missing = await whyNoEngine();

describe.skipIf(missing !== null)('the lane story in containers', () => {
  let stage: Stage;
  let close = async () => {};

  beforeAll(async () => {
    const images = await testImages();
    const folder = await mkdtemp(join(tmpdir(), 'cw-'));
    const state = new StateFolder(join(folder, 'bookinfo'));
    const wasmPath = built('causeway.wasm');
    const driver = new ComposeDriver({
      state,
      wasmPath,
      bookinfo: await bookinfoBundle(),
      project: 'causeway-story-test',
      prefix: COMPOSE_PREFIX,
      env: { ENVOY_IMAGE: images.envoy, NODE_IMAGE: images.node },
      readyTimeoutMs: 180_000,
    });
    const resolve = { network: COMPOSE_PREFIX, gatewayAddress: '0.0.0.0' };
    const opened = await openStage({
      deployment: { state, driver, driverName: 'compose', wasmPath, resolve },
      text: withDev2(readFileSync(meshFile(), 'utf8')),
      file: join(folder, 'bookinfo.yaml'),
      cli: [process.execPath, built('causeway.mjs')],
      url: `http://${gatewayAddress(COMPOSE_PREFIX, 0)}:8080`,
      scale: 20,
      progress: console.log,
    });
    stage = opened.stage;
    close = async () => {
      await opened.close();
      await rm(folder, { recursive: true, force: true });
    };
  }, 400_000);

  afterAll(() => close(), 180_000);

  for (const scene of STORY.filter(({ number }) => PLAYED.includes(number))) {
    it(`${scene.number}. ${scene.title}`, async () => {
      expect(faults(await playScene(scene, stage))).toEqual([]);
    });
  }
});
