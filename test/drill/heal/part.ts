import { join } from 'node:path';
import { resolveEnvoy } from '../../../harness/envoy/binary.ts';
import { HealStage, type HealStageOptions } from '../../../harness/heal/stage.ts';
import { ROOT, temporaryState } from '../../e2e/support.ts';
import { compilePlugin } from '../../support/compile-plugin.ts';
import { type Part, Sheet } from '../part.ts';
import { CASES } from './cases.ts';
import { healthyHosts } from './healthy.ts';

const PEER = 'native outlier_detection';

/** 1 bad of 3 hosts in every way, beside Envoy's own outlier detection on the same hosts in the same run. */
export const heal: Part = {
  name: 'heal',
  peer: PEER,
  async run(said) {
    const sheet = new Sheet(PEER, said);
    const envoy = (await resolveEnvoy()).path;
    for (const [number, { title, centre, play }] of CASES.entries()) {
      // A host that has been listed comes back in a minute and more: each case has a mesh of its own.
      await withStage({ network: `127.${90 + number}`, envoy, centre }, (stage) => play(stage, title, sheet));
    }
    // Once for both, which take their ten minutes beside each other.
    await compilePlugin('filters/suite.ts');
    await Promise.all([3, 20].map((hosts) => healthyHosts(hosts, sheet)));
    return sheet;
  },
};

async function withStage(
  options: Pick<HealStageOptions, 'network' | 'envoy' | 'centre'>,
  work: (stage: HealStage) => Promise<void>,
): Promise<void> {
  const { state, remove } = await temporaryState();
  try {
    const stage = await HealStage.open({
      ...options,
      state,
      wasmPath: join(ROOT, 'build/causeway.wasm'),
      app: join(ROOT, 'build/heal.mjs'),
      cli: [process.execPath, join(ROOT, 'build/causeway.mjs')],
    });
    try {
      await work(stage);
    } finally {
      await stage.close();
    }
  } finally {
    await remove();
  }
}
