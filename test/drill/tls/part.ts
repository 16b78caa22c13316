import { realClock } from '../../../harness/process/wait.ts';
import { issueSecrets } from '../../../harness/tls/secrets.ts';
import { temporaryState } from '../../e2e/support.ts';
import { scale } from '../../support/scale.ts';
import { TlsStage } from '../../tls/stage.ts';
import { type Part, Sheet } from '../part.ts';
import { BY_HAND, OURS, SERVICES, type State, type Way } from './cases.ts';
import { type WrkReport, wrk } from './wrk.ts';

const CONNECTIONS = 64;
const PHASE_SECONDS = 4;
const LONGEST_FLIP_SECONDS = 6;
const ROTATION_SECONDS = 60;
const IDLE_MS = 2_000;
/** A counter waits in the filter for up to one tick. */
const TICK_MS = 1_000;
const PEER = 'the same by a plain configuration';

interface Figures extends WrkReport {
  /** Connections closed under a request, in all of the service's clusters. */
  destroyedWithRequests: number;
  /** Of the requests from one second after a flip on, the share in the wrong state, in percent; the worst flip. */
  wrongAfterSecond: number;
  /** Connections left in the old pool when its idle time has passed; undefined where there is one pool only. */
  leftInOldPool: number | undefined;
}

const FLIPS: readonly State[] = ['on', 'off', 'on'];

/** TLS on → off → on under load, and certificates renewed every two seconds. */
export const tls: Part = {
  name: 'tls',
  peer: PEER,
  async run(said) {
    const sheet = new Sheet(PEER, said);
    const { state, remove } = await temporaryState();
    const stage = await TlsStage.open(state, '127.85', SERVICES, `tls: { idleTimeout: ${IDLE_MS}ms }`);
    try {
      for (const way of OURS) {
        const peer = BY_HAND.find(({ besides }) => besides === way.name);
        const own = await drill(stage, way);
        const other = peer === undefined ? undefined : await drill(stage, peer);
        add(sheet, way.name, own, other);
      }
      add(sheet, 'certificates renewed every 2 s', await rotation(stage), undefined);
    } finally {
      await stage.close();
      await remove();
    }
    return sheet;
  },
};

function add(sheet: Sheet, drill: string, own: Figures, peer: Figures | undefined): void {
  sheet.add(drill, 'requests', 'requests/s', own.perSecond, peer?.perSecond);
  sheet.add(drill, 'failed', 'requests', own.failed, peer?.failed);
  sheet.add(drill, 'closed under a request', 'connections', own.destroyedWithRequests, peer?.destroyedWithRequests);
  sheet.add(drill, 'wrong state after 1 s', '%', own.wrongAfterSecond, peer?.wrongAfterSecond);
  if (own.leftInOldPool !== undefined) sheet.add(drill, 'left in the old pool', 'connections', own.leftInOldPool);
}

async function drill(stage: TlsStage, way: Way): Promise<Figures> {
  const { service } = way;
  await way.prepare?.(stage);
  const { address, ports } = stage.front;
  const url = `http://${address}:${ports.outbound}/`;
  const before = (await stage.pools(service)).destroyedWithRequests;
  let over = false;
  const load = wrk(url, service, CONNECTIONS, (PHASE_SECONDS + LONGEST_FLIP_SECONDS) * FLIPS.length).finally(() => {
    over = true;
  });
  let wrong = 0;
  let left: number | undefined;
  await realClock.sleep(1_000);
  for (const state of FLIPS) {
    await way.flip(stage, state);
    // One second's grace, and a tick, before which counters may still speak of the time before.
    await realClock.sleep(1_000 + TICK_MS);
    const from = await seen(stage, service);
    await realClock.sleep(PHASE_SECONDS * 1_000 - TICK_MS);
    const to = await seen(stage, service);
    const [encrypted, plain] = [to.tls - from.tls, to.plain - from.plain];
    wrong = Math.max(wrong, (100 * (state === 'on' ? plain : encrypted)) / Math.max(1, encrypted + plain));
    const pools = await stage.pools(service);
    const twoPools = pools.tls.requests > 0 && pools.plain.requests > 0;
    if (twoPools) left = Math.max(left ?? 0, pools[state === 'on' ? 'plain' : 'tls'].connections);
  }
  // Before the load ends, which itself closes connections under their requests.
  const { destroyedWithRequests } = await stage.pools(service);
  if (over) throw new Error(`${way.name}: the load ended before the last flip was looked at`);
  return {
    ...(await load),
    destroyedWithRequests: destroyedWithRequests - before,
    wrongAfterSecond: wrong,
    leftInOldPool: left,
  };
}

/** Calls of `front` to a service by the state of their connection, as the filter confirms it. */
async function seen(stage: TlsStage, service: string): Promise<{ tls: number; plain: number }> {
  const of = (result: string) => stage.counter(`requests_total.result.${result}.service.${service}`);
  return { tls: await of('tls'), plain: await of('plain') };
}

async function rotation(stage: TlsStage): Promise<Figures> {
  const service = 'h1';
  const seconds = Math.max(10, ROTATION_SECONDS / scale());
  await stage.set(service, 'on');
  const { address, ports } = stage.front;
  const before = (await stage.pools(service)).destroyedWithRequests;
  let over = false;
  const load = wrk(`http://${address}:${ports.outbound}/`, service, CONNECTIONS, seconds).finally(() => {
    over = true;
  });
  let destroyedWithRequests = before;
  while (!over) {
    await issueSecrets(stage.mesh, stage.state, { all: true });
    await Promise.race([load, realClock.sleep(2_000)]);
    // The end of the load itself closes connections under their requests.
    if (!over) ({ destroyedWithRequests } = await stage.pools(service));
  }
  return {
    ...(await load),
    destroyedWithRequests: destroyedWithRequests - before,
    wrongAfterSecond: 0,
    leftInOldPool: undefined,
  };
}
