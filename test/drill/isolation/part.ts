import { join } from 'node:path';
import { PATHS } from '../../../envoy-configs/xds.ts';
import { writeByRename } from '../../../harness/apply/push.ts';
import { isolateInstance, releaseInstance } from '../../../harness/config/edit-isolation.ts';
import { realClock } from '../../../harness/process/wait.ts';
import { IsolationStage } from '../../isolation/stage.ts';
import { scaled } from '../../support/scale.ts';
import { type Part, Sheet } from '../part.ts';
import { type Resource, rewrite } from '../rewrite.ts';

const PEER = 'endpoint taken off the caller by EDS';
const RATE = 200;
const TIMES = scaled(20, 6);
const ID = 'ratings-base-1';
/** From the command's answer on, in which the last requests may still reach the application. */
const GRACE_MS = 250;
const HELD_MS = 750;
const TEXT = `mesh: isolation
isolation: { drainSeconds: 1 }
concurrency: 2
gateways: [{ name: gateway, routes: [{ prefix: /, service: ratings }] }]
services:
  ratings: { instances: { base: { replicas: 3 } } }
`;

interface Way {
  readonly name: string;
  isolate(): Promise<void>;
  release(): Promise<void>;
}

interface Figures {
  failed: number;
  twice: number;
  /** Requests that reached the instance later than the grace after the command's answer. */
  reached: number;
}

/** One instance leaves its traffic and comes back, again and again, with 30 % POST. */
export const isolation: Part = {
  name: 'isolation',
  peer: PEER,
  async run(said) {
    const sheet = new Sheet(PEER, said);
    const stage = await IsolationStage.open('127.96', TEXT);
    try {
      const own = await drill(stage, {
        name: 'own',
        isolate: () => stage.apply(isolateInstance(stage.deployment.text, ID)),
        release: () => stage.apply(releaseInstance(stage.deployment.text, ID)),
      });
      const peer = await drill(stage, byEndpoints(stage));
      const title = 'isolate and release';
      sheet.add(title, 'failed', 'requests', own.failed, peer.failed);
      sheet.add(title, 'run twice', 'POSTs', own.twice, peer.twice);
      sheet.add(title, `reached it ${GRACE_MS} ms after the command`, 'requests', own.reached, peer.reached);
    } finally {
      await stage.close();
    }
    return sheet;
  },
};

async function drill(stage: IsolationStage, { name, isolate, release }: Way): Promise<Figures> {
  const held: [number, number][] = [];
  const report = await stage.under(
    RATE,
    async () => {
      for (let n = 0; n < TIMES; n++) {
        await isolate();
        const from = Date.now() + GRACE_MS;
        await realClock.sleep(HELD_MS);
        held.push([from, Date.now()]);
        await release();
        await realClock.sleep(HELD_MS);
      }
    },
    { name },
  );
  // Access logs are written with some delay.
  await realClock.sleep(1_000);
  const served = stage.served().filter(({ instance }) => instance === ID);
  if (served.length === 0) throw new Error(`${name}: ${ID} has served nothing, so that nothing was isolated`);
  return {
    failed: report.failed,
    twice: (await stage.notOnce(`${name}-`)).length,
    reached: served.filter(({ at }) => held.some(([from, to]) => at >= from && at < to)).length,
  };
}

/** What stock Envoy offers without this project: each caller's endpoints are written anew. There is one caller here. */
function byEndpoints(stage: IsolationStage): Way {
  const { address } = stage.instance(ID);
  const gateway = stage.node('gateway');
  const paths = ['ratings.lanes', 'ratings.baseline'].map((cluster) => PATHS.endpoints(cluster));
  const isAway = ({ endpoint }: Resource) => endpoint.address.socket_address.address === address;
  return {
    name: 'peer',
    async isolate() {
      for (const path of paths) {
        await rewrite(gateway, 'endpoints', path, (assignment) => ({
          ...assignment,
          endpoints: assignment.endpoints.map(({ lb_endpoints }: Resource) => ({
            lb_endpoints: lb_endpoints.filter((endpoint: Resource) => !isAway(endpoint)),
          })),
        }));
      }
    },
    async release() {
      for (const path of paths) await writeByRename(join(gateway.dir, path), gateway.files[path] ?? '');
    },
  };
}
