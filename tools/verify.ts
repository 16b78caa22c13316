/**
 * `make verify`: everything at full size, in steps of at most twenty minutes. Writes docs/figures/verify.md, the summary that
 * a release quotes. Exit status 0 only when every step has been run and has passed.
 *
 *   npx tsx tools/verify.ts [step…]
 *
 * With names of steps only those are run; what the others gave last stands beside them, with its commit.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './build.ts';

/** One command of the verification. */
interface Step {
  readonly name: string;
  readonly command: string;
  /** Figures that the step leaves, as `build/<name>.json`. */
  readonly figures?: string;
}

interface Outcome {
  readonly step: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly commit: string;
  /** Of the machine when the step began: what else was running then. */
  readonly load: number;
  readonly figures: readonly Figure[];
}

interface Figure {
  readonly name: string;
  readonly metric: string;
  readonly value: number | null;
  readonly unit: string;
  readonly target: string | number | null;
  readonly holds: boolean;
  readonly peers?: Readonly<Record<string, number | null>>;
}

const STEP_MINUTES = 20;
const VITEST = 'npx vitest run --project';
const OVERLOAD = 'npx tsx test/bench-overload/main.ts';

const STEPS: readonly Step[] = [
  { name: 'lint', command: 'make lint' },
  { name: 'specs', command: 'npm run --silent specs' },
  { name: 'module', command: `${VITEST} module` },
  { name: 'pairs', command: `${VITEST} pairs` },
  { name: 'envoy', command: `${VITEST} envoy --exclude test/e2e/flood.test.ts` },
  { name: 'flood', command: `${VITEST} envoy test/e2e/flood.test.ts`, figures: 'flood' },
  { name: 'istio', command: 'make test-istio' },
  { name: 'ratelimit', command: 'make test-ratelimit' },
  { name: 'matrix', command: 'make test-matrix' },
  { name: 'demo', command: 'make demo' },
  { name: 'demo-overload', command: 'node build/causeway.mjs demo overload' },
  ...['heal', 'tls', 'isolation', 'restart', 'centre'].map((part): Step => {
    return { name: `drill-${part}`, command: `make drill PARTS=${part}`, figures: 'drill' };
  }),
  { name: 'drill-upgrade', command: 'make drill-upgrade', figures: 'drill-upgrade' },
  { name: 'bench', command: 'make bench', figures: 'bench' },
  { name: 'overload-peers', command: `${OVERLOAD} --step peers --collect` },
  ...['exact, 1 worker', 'exact, 2 workers', 'inferred, 1 worker', 'inferred, 2 workers'].map((variant): Step => {
    return {
      name: `overload-${variant.replaceAll(/, | /g, '-')}`,
      command: `${OVERLOAD} --step 'overload-shedding, ${variant}' --collect`,
    };
  }),
  { name: 'overload', command: `${OVERLOAD} --report`, figures: 'bench-overload' },
];

const OUTCOMES = join(ROOT, 'build/verify');

function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' and changes'}`;
}

function figuresOf(name: string): Figure[] {
  const path = join(ROOT, 'build', `${name}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Figure[]) : [];
}

function run({ name, command, figures }: Step): Promise<Outcome> {
  const started = Date.now();
  const load = loadavg()[0] ?? 0;
  if (figures !== undefined) rmSync(join(ROOT, 'build', `${figures}.json`), { force: true });
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', command], {
      cwd: ROOT,
      env: { ...process.env, CAUSEWAY_SCALE: '1' },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    });
    const bound = setTimeout(
      () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM'),
      STEP_MINUTES * 60_000,
    );
    child.on('close', (code) => {
      clearTimeout(bound);
      resolve({
        step: name,
        passed: code === 0,
        seconds: (Date.now() - started) / 1000,
        commit: commit(),
        load,
        // A part that was not asked for has left no value.
        figures: figures === undefined ? [] : figuresOf(figures).filter(({ value }) => value !== null),
      });
    });
  });
}

function saved(step: Step): Outcome | undefined {
  const path = join(OUTCOMES, `${step.name}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Outcome) : undefined;
}

function stepRow({ name, command }: Step, outcome: Outcome | undefined): string {
  const said = outcome
    ? `${outcome.passed ? 'passed' : '**failed**'} | ${Math.round(outcome.seconds)} | ${outcome.load.toFixed(1)} | ${outcome.commit}`
    : 'not run | – | – | –';
  return `| ${name} | \`${command}\` | ${said} |`;
}

function figureRow({ name, metric, value, unit, target, holds, peers }: Figure): string {
  const beside = Object.entries(peers ?? {}).map(([peer, figure]) => `${peer} ${figure ?? '–'}`);
  const verdict = holds ? 'yes' : '**no**';
  return `| ${name}: ${metric} | ${value ?? '–'} ${unit} | ${target ?? '–'} | ${verdict} | ${beside.join(', ') || '–'} |`;
}

function summary(outcomes: ReadonlyMap<string, Outcome>): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
  const lines = [
    '# Verification',
    '',
    `\`make verify\` on ${new Date().toISOString().slice(0, 10)}; ${machine}. *Load*: the machine's when the step began.`,
    '',
    '| step | command | result | seconds | load | commit |',
    '| --- | --- | --- | --- | --- | --- |',
    ...STEPS.map((step) => stepRow(step, outcomes.get(step.name))),
  ];
  for (const [step, { figures }] of outcomes) {
    if (figures.length === 0) continue;
    lines.push('', `## ${step}`, '', '| figure | value | target | holds | peers |', '| --- | --- | --- | --- | --- |');
    lines.push(...figures.map(figureRow));
  }
  return `${lines.join('\n')}\n`;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  throw new Error(`found step ${unknown.join(', ')}, expected ${STEPS.map(({ name }) => name).join(', ')}`);
}
if (wanted.length === 0) rmSync(OUTCOMES, { recursive: true, force: true });
mkdirSync(OUTCOMES, { recursive: true });
for (const step of STEPS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  process.stdout.write(`\n=== ${step.name}: ${step.command}\n`);
  writeFileSync(join(OUTCOMES, `${step.name}.json`), JSON.stringify(await run(step)));
}
const outcomes = new Map(
  STEPS.flatMap((step) => {
    const outcome = saved(step);
    return outcome ? [[step.name, outcome] as const] : [];
  }),
);
const text = summary(outcomes);
writeFileSync(join(ROOT, 'docs/figures/verify.md'), text);
process.stdout.write(`\n${text}`);
process.exitCode = STEPS.every(({ name }) => outcomes.get(name)?.passed === true) ? 0 : 1;
