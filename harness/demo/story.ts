import { agreement, type Snapshot, settledSnapshot, snapshot } from './claims.ts';
import { type Check, type Exchange, Recorder, type Scene, type SceneResult } from './scene.ts';
import { create } from './scenes/create.ts';
import { faultDrill } from './scenes/fault.ts';
import { internalHeaders } from './scenes/headers.ts';
import { baselineOnly, groups, oneServiceLane, outAndBack, strictLane } from './scenes/lanes.ts';
import { mixed } from './scenes/mixed.ts';
import { outage } from './scenes/outage.ts';
import { propagation } from './scenes/propagation.ts';
import { oneMachine, tenPercent } from './scenes/steering.ts';
import { diversion, threeOptions } from './scenes/tagging.ts';
import type { Stage } from './stage.ts';

/** The story in the order in which it is told. */
export const STORY: readonly Scene[] = [
  create,
  baselineOnly,
  oneServiceLane,
  outAndBack,
  diversion,
  threeOptions,
  outage,
  strictLane,
  propagation,
  tenPercent,
  groups,
  oneMachine,
  internalHeaders,
  faultDrill,
  mixed,
];

/**
 * Plays one scene. What the applications proved is then compared with what the proxies claim of the same calls, unless
 * the scene made traffic that it did not keep evidence of.
 */
export async function playScene(
  scene: Scene,
  stage: Stage,
  watch: (line: Exchange | Check) => void = () => {},
): Promise<SceneResult> {
  const start = performance.now();
  const record = new Recorder(stage, watch);
  let error: string | undefined;
  let before: Snapshot = new Map();
  try {
    // A scene whose claims were not compared has left counts behind that are still on their way.
    before = stage.quiet ? await snapshot(stage.claimants) : await settledSnapshot(stage.claimants);
    await scene.play(stage, record);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  if (error !== undefined) record.check('the scene could be played', false, error);
  const { exchanges, checks, figures, proved } = record;
  const compared =
    proved.length > 0 && error === undefined && scene.compare !== false
      ? await agreement(stage.claimants, before, proved, {
          baseline: stage.mesh.baseline,
          gatewayService: stage.entrance,
          deadlineMs: stage.claimDeadlineMs,
        })
      : undefined;
  stage.quiet = compared !== undefined;
  if (compared) {
    const differences = [...compared.metrics, ...compared.headers, ...compared.accessLog];
    const what = `metrics, headers and access logs agree with the applications on ${compared.calls} calls`;
    record.check(what, differences.length === 0, differences.slice(0, 4));
  }
  const judged = exchanges.length + checks.length;
  return {
    number: scene.number,
    title: scene.title,
    shows: scene.shows,
    exchanges,
    checks,
    figures,
    ...(compared ? { agreement: compared } : {}),
    holds: judged > 0 && exchanges.every(({ holds }) => holds) && checks.every(({ holds }) => holds),
    elapsedMs: Math.round(performance.now() - start),
  };
}
