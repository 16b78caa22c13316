import { found, notYet, realClock, waitUntil } from '../../../harness/process/wait.ts';
import { IsolationStage } from '../../isolation/stage.ts';
import { warmUpOf } from '../../isolation/warm-up.ts';
import { scaled } from '../../support/scale.ts';
import { type Part, Sheet } from '../part.ts';

const PEER = 'SIGTERM and start';
const RATE = 100;
/** Full size is the default of two minutes. */
const WARM_UP_MS = scaled(120_000, 6_000);
const IDS = [1, 2, 3].map((n) => `ratings-base-${n}`);
const TEXT = `mesh: restart
isolation: { drainSeconds: 1 }
lossless: { warmUp: 0s }
concurrency: 2
gateways: [{ name: gateway, routes: [{ prefix: /, service: ratings }] }]
services:
  ratings: { instances: { base: { replicas: 3 } } }
`;

/** Every instance of a service restarts, one after the other, with 30 % POST; and one warms up. */
export const restart: Part = {
  name: 'restart',
  peer: PEER,
  async run(said) {
    const sheet = new Sheet(PEER, said);
    const stage = await IsolationStage.open('127.97', TEXT);
    try {
      const own = await rolling(stage, 'own', () => stage.deployment.restart(IDS));
      const peer = await rolling(stage, 'peer', () => plainly(stage));
      const title = 'rolling restart of every instance';
      sheet.add(title, 'failed', 'requests', own.failed, peer.failed);
      sheet.add(title, 'not run exactly once', 'POSTs', own.notOnce, peer.notOnce);
      const cold = await farthest(stage);
      await stage.apply(TEXT.replace('warmUp: 0s', `warmUp: ${WARM_UP_MS / 1_000}s`));
      // The clusters have been replaced, so that all of their hosts have just started: first the others must be grown.
      await realClock.sleep(WARM_UP_MS);
      sheet.add('warm-up', 'off a straight line', 'points', await farthest(stage), cold);
    } finally {
      await stage.close();
    }
    return sheet;
  },
};

async function rolling(stage: IsolationStage, name: string, work: () => Promise<void>) {
  const { failed } = await stage.under(RATE, work, { name });
  return { failed, notOnce: (await stage.notOnce(`${name}-`)).length };
}

/** As somebody would who waits for each instance to be healthy again, and knows nothing else. */
async function plainly(stage: IsolationStage): Promise<void> {
  for (const id of IDS) {
    await stage.driver.stop(id);
    const plan = stage.deployment.plans.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no node ${id}`);
    await stage.driver.start(plan);
    await waitUntil(
      `${id} healthy`,
      async () => ((await stage.unhealthy(id)) ? notYet('its check fails') : found(undefined)),
      { deadlineMs: 15_000 },
    );
  }
}

/** Of the share that an instance has while it warms up, the farthest from what a straight line would have given it. */
async function farthest(stage: IsolationStage): Promise<number> {
  const windows = await warmUpOf(stage, IDS[2] ?? '', WARM_UP_MS);
  return Math.max(...windows.map(({ share, linear }) => 100 * Math.abs(share - linear)));
}
