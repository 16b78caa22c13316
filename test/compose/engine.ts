import { engineMissing } from '../../harness/drivers/compose.ts';
import { buildLocalImages, type LocalImages } from '../../tools/images/build.ts';
import { skipWithout } from '../support/required.ts';

/** Why compose tests cannot run here, or null; see {@link skipWithout}. */
export async function whyNoEngine(): Promise<string | null> {
  const missing = await engineMissing();
  return skipWithout('docker', missing === null ? null : `${missing}; try tools/images/start-docker.sh`);
}

/** The images that the tests run: those named in the environment, else ones made from this machine's own files. */
export async function testImages(): Promise<LocalImages> {
  const { ENVOY_IMAGE, NODE_IMAGE } = process.env;
  if (ENVOY_IMAGE && NODE_IMAGE) return { envoy: ENVOY_IMAGE, node: NODE_IMAGE };
  return buildLocalImages((line) => console.log(line));
}
