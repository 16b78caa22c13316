import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Load } from '../../../harness/heal/load.ts';
import { realClock } from '../../../harness/process/wait.ts';
import { type Caller, caller } from '../../heal/rig.ts';
import { scale } from '../../support/scale.ts';
import type { Sheet } from '../part.ts';

const MINUTES = 10;
const SHORTEST_SECONDS = 30;
const ERROR_SHARE = 0.01;
/** Requests a second, over all hosts, of each of the two callers. */
const RATE = 120;
const PORT = 9080;
const OUTBOUND = 15001;
const PEER_OUTBOUND = 15002;

/** Hosts of which each fails 1 % of its requests, at random: none of them is to be listed. */
export async function healthyHosts(hosts: number, sheet: Sheet): Promise<void> {
  const seconds = Math.max(SHORTEST_SECONDS, (MINUTES * 60) / scale());
  const subject = await caller({ name: `healthy-${hosts}`, second: 110 + hosts, lanes: { base: hosts } });
  const addresses = subject.callee.instances.map(({ address }) => address);
  const child = fork(join(import.meta.dirname, 'hosts.mjs'), [
    JSON.stringify({ addresses, port: PORT, share: ERROR_SHARE }),
  ]);
  try {
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('the hosts ended while starting')));
    failed.catch(() => {});
    await Promise.race([once(child, 'message'), failed]);
    // Those that were checked before they listened are checked again.
    await realClock.sleep(3_000);
    const load = (port: number) =>
      new Load({ url: `http://${subject.address}:${port}`, host: 'rig', caller: 'drill', rate: RATE });
    const loads = [load(OUTBOUND), load(PEER_OUTBOUND)];
    await realClock.sleep(seconds * 1_000);
    await Promise.all(loads.map((one) => one.stop()));
    const title = `${hosts} healthy hosts`;
    const [own = 100, peer] = loads.map((one) => (100 * one.failed(0).length) / Math.max(1, one.sent.length));
    sheet.add(title, 'random errors', '%', own, peer);
    sheet.add(title, 'for so long', 's', seconds);
    sheet.add(title, 'listed', 'hosts', await subject.metric('listed_total'), await ejections(subject, title));
  } finally {
    child.disconnect();
    await subject.proxy.stop();
  }
}

async function ejections({ proxy }: Caller, what: string): Promise<number> {
  const stats = await proxy.admin.stats('cluster.peer.outlier_detection.ejections_enforced_total');
  const [value] = stats.values();
  if (value === undefined) throw new Error(`${what}: the peer does not say what it has ejected`);
  return value;
}
