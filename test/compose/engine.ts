import { engineMissing } from '../../harness/drivers/compose.ts';
import { buildLocalImages, type LocalImages } from '../../tools/images/build.ts';

/**
 * Why compose tests cannot run here, or null. Where `CAUSEWAY_REQUIRE` names docker a missing engine is a failure;
 * elsewhere it is one loud line and counted as skipped.
 */
export async function whyNoEngine(): Promise<string | null> {
  const missing = await engineMissing();
  if (missing === null) return null;
  const required = (process.env.CAUSEWAY_REQUIRE ?? '').split(',').map((word) => word.trim());
  if (required.includes('docker')) throw new Error(`CAUSEWAY_REQUIRE names docker, but: ${missing}`);
  console.warn(
    `\n*** SKIPPED: compose tests need a docker engine (${missing}); try tools/images/start-docker.sh ***\n`,
  );
  return missing;
}

/** The images that the tests run: those named in the environment, else ones made from this machine's own files. */
export async function testImages(): Promise<LocalImages> {
  const { ENVOY_IMAGE, NODE_IMAGE } = process.env;
  if (ENVOY_IMAGE && NODE_IMAGE) return { envoy: ENVOY_IMAGE, node: NODE_IMAGE };
  return buildLocalImages((line) => console.log(line));
}
