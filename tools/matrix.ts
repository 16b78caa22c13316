/**
 * `make test-matrix`: the lane story on every Envoy release that the wheel offers. Writes the table in README.md, between
 * its markers, and build/matrix.json. Exit status 0 only when every scene holds on every release.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchEnvoy } from '../harness/envoy/binary.ts';
import { ENVOY_WHEELS } from '../harness/envoy/version.ts';
import { ROOT } from './build.ts';

const STORY = 'test/e2e/story.test.ts';
const MARKER = { begin: '<!-- matrix -->', end: '<!-- /matrix -->' };

interface VitestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[];
  }[];
}

interface Told {
  readonly envoy: string;
  readonly held: number;
  readonly failed: readonly string[];
}

async function tell(version: string): Promise<Told> {
  const binary = await fetchEnvoy(version, { progress: (line) => console.error(line) });
  // Where vitest.config.ts has it.
  const report = join(ROOT, 'build', 'reports', 'vitest.json');
  writeFileSync(report, '{"testResults":[]}');
  await new Promise((resolve) => {
    const env = { ...process.env, ENVOY_PATH: binary };
    spawn('npx', ['vitest', 'run', STORY], { cwd: ROOT, stdio: 'inherit', env }).on('close', resolve);
  });
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as VitestReport;
  const scenes = testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = scenes.filter(({ status }) => status !== 'passed').map(({ title }) => title);
  return { envoy: version, held: scenes.length - failed.length, failed };
}

function table(all: readonly Told[]): string {
  const row = ({ envoy, held, failed }: Told): string => {
    const told = held + failed.length;
    const failing = failed.length === 0 ? '' : `; not: ${failed.join(', ')}`;
    return `| ${envoy} | ${told === 0 ? 'not told' : `${held} of ${told} scenes hold${failing}`} | ${remark(envoy)} |`;
  };
  return ['| Envoy | lane story | |', '| --- | --- | --- |', ...all.map(row)].join('\n');
}

function remark(version: string): string {
  return Number(version.split('.')[1]) < 37 ? "`envoy: '1.36'`: a failed try is repeated in its lane" : '';
}

async function main(): Promise<void> {
  mkdirSync(join(ROOT, 'build', 'reports'), { recursive: true });
  const all: Told[] = [];
  for (const version of Object.keys(ENVOY_WHEELS)) all.push(await tell(version));
  writeFileSync(join(ROOT, 'build', 'matrix.json'), `${JSON.stringify(all, null, 2)}\n`);
  const readme = join(ROOT, 'README.md');
  const text = readFileSync(readme, 'utf8');
  const [before, rest] = text.split(MARKER.begin);
  const after = rest?.split(MARKER.end)[1];
  if (before === undefined || after === undefined) throw new Error(`README.md: no ${MARKER.begin} … ${MARKER.end}`);
  writeFileSync(readme, `${before}${MARKER.begin}\n${table(all)}\n${MARKER.end}${after}`);
  console.log(table(all));
  process.exitCode = all.every(({ held, failed }) => held > 0 && failed.length === 0) ? 0 : 1;
}

await main();
