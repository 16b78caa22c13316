/**
 * `make bench-overload`: overload protection beside what stock Envoy offers, on one rig, by an open-loop load. Medians over
 * seeds. Writes build/bench-overload.json and build/bench-overload.svg.
 *
 *   npx tsx test/bench-overload/main.ts [--quick] [--step <name>] [--scenario <name>] [--variant <name>] [--seeds 1,2,3]
 *       [--collect | --report]
 *
 * With `--step`, `--scenario` or `--variant` only those trials are run and their results put in place of earlier ones; `--collect` judges
 * nothing, `--report` runs nothing and judges what there is. `--quick` takes a minute and asserts what holds on any machine.
 */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runBenchmark } from '../bench/envoy.ts';
import { allHold, verdictLines, writeFigures } from '../figures/figures.ts';
import { overloadFigures } from './figures.ts';
import { quick } from './quick.ts';
import { resultChart, resultTable } from './report.ts';
import { allResults, forgetResults, keepResult } from './results.ts';
import { ourName, runStep, steps } from './steps.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    collect: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    step: { type: 'string', multiple: true },
    scenario: { type: 'string', multiple: true },
    variant: { type: 'string', multiple: true },
    seeds: { type: 'string', default: '1,2,3' },
  },
});
const SVG = join(import.meta.dirname, '../../build/bench-overload.svg');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function run(): Promise<void> {
  const seeds = options.seeds.split(',').map(Number);
  if (seeds.some((seed) => !Number.isInteger(seed))) throw new Error('--seeds: expected whole numbers');
  if ([options.step, options.scenario, options.variant].every((only) => only === undefined)) forgetResults();
  const chosen = steps().filter(({ name }) => options.step?.includes(name) ?? true);
  for (const step of chosen) {
    const scenarios = step.scenarios.filter(({ name }) => options.scenario?.includes(name) ?? true);
    const variants = step.variants.filter(({ name }) => options.variant?.includes(name) ?? true);
    say(`\n${step.name}: ${step.shows}`);
    await runStep({ ...step, scenarios, variants }, seeds, (line, result) => {
      say(line);
      keepResult(step.name, result);
    });
  }
}

await runBenchmark(async () => {
  say(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, load ${loadavg()[0]?.toFixed(1)}`);
  if (options.quick) {
    process.exitCode = (await quick(say)) ? 0 : 1;
    return;
  }
  if (!options.report) await run();
  if (options.collect) return;
  const results = allResults();
  writeFileSync(SVG, resultChart(results, ourName('exact', 1)));
  const figures = writeFigures('bench-overload', overloadFigures(results));
  say(
    `\n${resultTable(results)}\nbuild/bench-overload.json, build/bench-overload.svg\n${verdictLines(figures).join('\n')}`,
  );
  process.exitCode = allHold(figures) ? 0 : 1;
});
