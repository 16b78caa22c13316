import { type Hop, hopsOf } from '../../harness/bookinfo/hop.ts';
import { laneLookup, wrongHops } from '../../harness/demo/evidence.ts';
import { wholeTree } from '../../harness/demo/scenes/judges.ts';
import { mixedRequest } from '../../harness/demo/scenes/mixed.ts';
import { hopOf } from '../../harness/demo/stage.ts';
import { type DriveReport, driveClosed } from '../../harness/drive/drive.ts';
import type { UpgradeStage, Version } from './stage.ts';

/** What the applications proved about the requests of a while. */
export interface Evidence {
  readonly report: DriveReport;
  readonly hops: number;
  /** Hops where the lane of their request does not belong, with their number. */
  readonly wrong: ReadonlyMap<string, number>;
  /** Hops from a proxy of the one version to a proxy of the other, by the caller's. */
  readonly across: Readonly<Record<Version, number>>;
}

/** Mixed requests of all lanes, `concurrency` at a time, until `work` has ended; every hop of them is looked at. */
export async function underLoad(
  stage: UpgradeStage,
  concurrency: number,
  work: () => Promise<void>,
): Promise<Evidence> {
  const stop = new AbortController();
  const laneOf = laneLookup(stage.mesh);
  const wrong = new Map<string, number>();
  const across = { old: 0, new: 0 };
  let hops = 0;
  const driving = driveClosed({
    target: stage.gateway,
    total: Number.MAX_SAFE_INTEGER,
    concurrency,
    signal: stop.signal,
    next: mixedRequest,
    judge: (answer, { kind }) => {
      const root = hopOf(answer.body);
      if (root) {
        hops += hopsOf(root).length;
        for (const fault of wrongHops(stage.mesh, kind, root, laneOf)) wrong.set(fault, (wrong.get(fault) ?? 0) + 1);
        countAcross(stage, stage.gatewayId, root, across);
      }
      return wholeTree(answer);
    },
  });
  try {
    await work();
  } finally {
    stop.abort();
  }
  return { report: await driving, hops, wrong, across };
}

/** By what the proxies have when the answer is here: exact while nothing changes, nearly so during a change. */
function countAcross(stage: UpgradeStage, caller: string, hop: Hop, across: Record<Version, number>): void {
  const version = stage.versionOf(caller);
  if (version !== stage.versionOf(hop.instance)) across[version]++;
  for (const call of hop.calls) if (call.hop) countAcross(stage, hop.instance, call.hop, across);
}
