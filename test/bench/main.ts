/**
 * `make bench`: what the suite costs an Envoy, beside no filter, an empty wasm filter, the same work with the Rust SDK and
 * stock Lua. One run, one machine, medians of alternated rounds. Writes build/bench.json.
 *
 *   npx tsx test/bench/main.ts [--quick]
 *
 * `--quick` has three short rounds and shows that everything works; its figures are noise.
 */
import { cpus, loadavg } from 'node:os';
import { allHold, type Measured, verdictLines, writeFigures } from '../figures/figures.ts';
import { runBenchmark } from './envoy.ts';
import { growthFigures, latencyFigures, profileFigures, resourceFigures, workersFigures } from './figures.ts';
import { startGrowth } from './growth.ts';
import { measureLatency } from './latency.ts';
import { checkTools } from './load.ts';
import { prepareModules, sizeWithoutNames } from './modules.ts';
import { NAMES, SMALL, variants } from './profiles.ts';
import { ofProfile, profileTable } from './report.ts';
import { measureIdle, measureMemory } from './resources.ts';
import { type Pinning, probe, startRig, startUpstream, UPSTREAM_PORT } from './rig.ts';
import { alternate, type RoundsOptions, teach } from './rounds.ts';
import { startWorkers } from './workers.ts';

const quick = process.argv.includes('--quick');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function progress(what: string): RoundsOptions['progress'] {
  return (done, of) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${what}: ${done} of ${of}${done === of ? '\n' : ''}`);
    else if (done === of) process.stderr.write(`${what}: ${of} runs\n`);
  };
}

async function run(): Promise<Measured[]> {
  const all = cpus().length;
  if (all < 2) throw new Error('one CPU: the load needs another one than the Envoy that is measured');
  const pinning: Pinning = { measured: '0', rest: all === 2 ? '1' : `1-${all - 1}` };
  const rounds = quick ? 3 : 9;
  const options = (what: string): RoundsOptions => {
    return { rounds, seconds: 1, connections: 16, pinning, progress: progress(what) };
  };
  say(`${all} × ${cpus()[0]?.model ?? 'unknown processor'}, load ${loadavg()[0]?.toFixed(1)}; ${rounds} rounds`);
  checkTools();
  const modules = await prepareModules(say);
  await startUpstream(pinning);

  const rig = await startRig(variants(modules, UPSTREAM_PORT), SMALL, pinning);
  for (const one of rig.cases) {
    await teach(one, pinning);
    await probe(one, SMALL);
  }
  const samples = await alternate(rig.cases, options('profiles'));
  const profiles = (['inbound', 'outbound', 'hop'] as const).map((name) => ({ name, of: ofProfile(samples, name) }));
  for (const { name, of } of profiles) say(`\n${profileTable(name, of)}`);
  const beside = rig.cases.filter(
    ({ profile, variant }) => profile === 'hop' && [NAMES.none, NAMES.fused].some((name) => name === variant.name),
  );
  const latency = await measureLatency(beside, { rounds, seconds: quick ? 1 : 4, rate: 200, pinning });
  await rig.stop();

  const growth = await alternate(await startGrowth(modules, pinning), options('growth'));
  await Promise.all([...new Set([...growth.keys()].map(({ sut }) => sut))].map((sut) => sut.stop()));

  const atOnce = await startWorkers(modules, `0-${all - 1}`);
  const workers = await alternate(atOnce, { ...options('workers'), connections: 32 });
  await Promise.all([...new Set(atOnce.map(({ sut }) => sut))].map((sut) => sut.stop()));

  say('memory and idle CPU');
  const memory = await measureMemory(modules, atOnce[0]?.script ?? '', pinning);
  const idle = await measureIdle(modules, 3, quick ? 2 : 10, pinning);
  const size = sizeWithoutNames(modules.suite);
  return [
    ...profileFigures(profiles),
    ...growthFigures(growth),
    ...workersFigures(workers),
    ...latencyFigures(latency),
    ...resourceFigures({ ...memory, ...idle, size }),
  ];
}

await runBenchmark(async () => {
  const figures = writeFigures('bench', await run());
  say(`\nbuild/bench.json\n${verdictLines(figures).join('\n')}`);
  if (quick) say('--quick: too short to judge; the targets above are not counted');
  process.exitCode = quick || allHold(figures) ? 0 : 1;
});
