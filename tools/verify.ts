/**
 * `make verify`: everything at full size, each step within its bound. Writes docs/figures/verify.md, the summary that a
 * release quotes. Exit status 0 only when every step has passed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './build.ts';

/** One command of the verification. */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Figures that the step leaves, as `build/<name>.json`. */
  readonly figures?: string;
}

interface Outcome {
  readonly step: Step;
  readonly passed: boolean;
  readonly seconds: number;
  readonly lastLine: string;
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

/** Istio's step compiles its control plane when nobody has before. */
const STEP_MINUTES = 30;

const STEPS: readonly Step[] = [
  { name: 'lint', command: ['make', 'lint'] },
  { name: 'policy specs', command: ['npm', 'run', '--silent', 'specs'] },
  { name: 'module, emulator and fuzz', command: ['npx', 'vitest', 'run', '--project', 'module'] },
  { name: 'real Envoy', command: ['npx', 'vitest', 'run', '--project', 'pairs', '--project', 'envoy'] },
  { name: "Istio's control plane", command: ['npx', 'vitest', 'run', '--project', 'istio'] },
  { name: 'shared limits', command: ['npx', 'vitest', 'run', '--project', 'ratelimit'] },
  { name: 'flood of trace ids', command: ['npx', 'vitest', 'run', 'test/e2e/flood.test.ts'], figures: 'flood' },
  { name: 'demo', command: ['node', 'build/causeway.mjs', 'demo'] },
  { name: 'drill', command: ['make', 'drill'], figures: 'drill' },
  { name: 'bench', command: ['make', 'bench'], figures: 'bench' },
];

function run(step: Step): Promise<Outcome> {
  const started = Date.now();
  return new Promise((resolve) => {
    const [file = '', ...args] = step.command;
    const child = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, CAUSEWAY_SCALE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let tail = '';
    const keep = (chunk: Buffer): void => {
      process.stdout.write(chunk);
      tail = (tail + chunk.toString()).slice(-4096);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const bound = setTimeout(
      () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM'),
      STEP_MINUTES * 60_000,
    );
    child.on('close', (code) => {
      clearTimeout(bound);
      const lines = tail.split('\n').filter((line) => line.trim() !== '');
      resolve({ step, passed: code === 0, seconds: (Date.now() - started) / 1000, lastLine: lines.at(-1) ?? '' });
    });
  });
}

function figuresOf(name: string): Figure[] {
  const path = join(ROOT, 'build', `${name}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Figure[]) : [];
}

function summary(outcomes: readonly Outcome[]): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
  const lines = [
    '# Verification',
    '',
    `\`make verify\` on ${new Date().toISOString().slice(0, 10)}; ${machine}.`,
    '',
    '| step | result | seconds |',
    '| --- | --- | --- |',
    ...outcomes.map(
      ({ step, passed, seconds }) => `| ${step.name} | ${passed ? 'passed' : '**failed**'} | ${Math.round(seconds)} |`,
    ),
  ];
  for (const { step } of outcomes) {
    if (step.figures === undefined) continue;
    lines.push(
      '',
      `## ${step.name}`,
      '',
      '| figure | value | target | holds | peers |',
      '| --- | --- | --- | --- | --- |',
    );
    for (const { name, metric, value, unit, target, holds, peers } of figuresOf(step.figures)) {
      const beside = Object.entries(peers ?? {}).map(([peer, figure]) => `${peer} ${figure ?? '–'}`);
      lines.push(
        `| ${name}: ${metric} | ${value ?? '–'} ${unit} | ${target ?? '–'} | ${holds ? 'yes' : '**no**'} | ${beside.join(', ') || '–'} |`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

const outcomes: Outcome[] = [];
for (const step of STEPS) {
  process.stdout.write(`\n=== ${step.name}: ${step.command.join(' ')}\n`);
  outcomes.push(await run(step));
}
const text = summary(outcomes);
mkdirSync(join(ROOT, 'docs/figures'), { recursive: true });
writeFileSync(join(ROOT, 'docs/figures/verify.md'), text);
process.stdout.write(`\n${text}`);
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
