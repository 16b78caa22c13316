/**
 * `make drill-upgrade`: the previous build → this one → back, under load, without a restart, and both talking to each other on
 * every hop. The applications say which lanes served. Prints what was measured, writes build/drill-upgrade.json, ends with
 * status 1 when a target of test/targets.json is missed. CAUSEWAY_SCALE divides its length; PREVIOUS names the previous build:
 * a commit, a tag, or a path of a `.wasm`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { meshFile } from '../../../harness/demo/run.ts';
import { realClock } from '../../../harness/process/wait.ts';
import { withDev2 } from '../../e2e/story-stage.ts';
import { allHold, type Measured, verdictLines, writeFigures } from '../../figures/figures.ts';
import { scale } from '../../support/scale.ts';
import { underLoad } from '../../upgrade/load.ts';
import { type Build, previousBuild } from '../../upgrade/previous.ts';
import { round } from '../../upgrade/rounds.ts';
import { UpgradeStage } from '../../upgrade/stage.ts';

const NETWORK = '127.96';
const ROUNDS = 10;
const HOLD_MS = 3_000;
const CONCURRENCY = 8;
const NAME = 'previous build, this one, back';
const PEER = 'the same load without a change';

const said = (line: string) => process.stderr.write(`  ${line}\n`);

const previous = await previousBuild(process.env.PREVIOUS || undefined, said);
const current: Build = {
  name: 'this build',
  wasmPath: join(import.meta.dirname, '../../../build/causeway.wasm'),
  cli: null,
};
if (readFileSync(previous.wasmPath).equals(readFileSync(current.wasmPath))) {
  throw new Error(`previous build ${previous.name}: its module is this build's, so there is nothing to upgrade to`);
}
said(`previous build: ${previous.name}${previous.cli === null ? ', with configurations of this one' : ''}`);

// The agent is part of a bootstrap: it stays the previous build's, beside filters of this one.
const text = `${withDev2(readFileSync(meshFile(), 'utf8'))}\nagent: {}\n`;
const stage = await UpgradeStage.open(NETWORK, text, { old: previous, new: current });
const measured: Measured[] = [];
const add = (metric: string, unit: string, value: number, peer?: number) =>
  measured.push({ name: NAME, metric, unit, value, ...(peer === undefined ? {} : { peers: { [PEER]: peer } }) });

try {
  const quiet = await underLoad(stage, CONCURRENCY, () => realClock.sleep(HOLD_MS));
  const before = await stage.allMachines();
  const took: number[] = [];
  const rounds = Math.max(1, Math.round(ROUNDS / scale()));
  const { report, hops, wrong, across } = await underLoad(stage, CONCURRENCY, async () => {
    for (let n = 1; n <= rounds; n++) {
      took.push(...(await round(stage, HOLD_MS)));
      said(`round ${n} of ${rounds}: ${took.length} changes so far`);
    }
  });
  await stage.oldOnesEnded(before);
  for (const [failure, count] of Object.entries(report.failures)) said(`failed: ${failure} (${count})`);
  for (const [fault, count] of wrong) said(`wrong: ${fault} (${count})`);
  add('requests', 'requests', report.sent);
  add('failed', 'requests', report.failed, quiet.report.failed);
  add('hops', 'hops', hops);
  add(
    'hops in a wrong lane',
    'hops',
    [...wrong.values()].reduce((sum, count) => sum + count, 0),
    [...quiet.wrong.values()].reduce((sum, count) => sum + count, 0),
  );
  add('hops from the previous build to this one', 'hops', across.old);
  add('hops from this build to the previous one', 'hops', across.new);
  add('changes of a proxy', 'changes', took.length);
  add('longest change of a proxy', 'ms', Math.max(...took));
  add('latency, 99th percentile', 'ms', report.latency.p99, quiet.report.latency.p99);
} finally {
  await stage.close();
}

const figures = writeFigures('drill-upgrade', measured);
process.stdout.write(`\n${previous.name} → this build → ${previous.name}\n\n${verdictLines(figures).join('\n')}\n`);
if (!allHold(figures)) process.exitCode = 1;
