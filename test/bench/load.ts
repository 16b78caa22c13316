import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { workDir } from './envoy.ts';

/** What one load run did. */
export interface LoadResult {
  requests: number;
  seconds: number;
  /** Answers other than 2xx/3xx, and socket errors. */
  failed: number;
  /** Instructions that the watched threads retired meanwhile; NaN where the kernel's counters are not to be had. */
  instructions: number;
}

/** One kind of request; `{id}` in a header's value becomes a trace id. */
export interface RequestShape {
  path: string;
  headers: Readonly<Record<string, string>>;
  /** `known`: the same `TRACE_IDS` UUIDs in turn, in every script; `fresh`: one that was never used before. */
  ids: 'known' | 'fresh';
  /** `{n}` in a header's value runs from 0 to this number, less one. Default 1. Only with known ids. */
  alternatives?: number;
}

/** Distinct trace ids that a script of known ids cycles through. */
export const TRACE_IDS = 1_024;

/** The n-th known trace id, as the scripts make it. */
export function knownId(n: number): string {
  return `${hex((n * 2_654_435) % 2 ** 32, 8)}-5bd1-4e0d-8f6a-${hex(n * 40_503, 12)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** Writes a wrk script that prepares its requests before it starts, so that wrk itself does next to nothing for each. */
export function writeScript(name: string, shape: RequestShape): string {
  mkdirSync(workDir, { recursive: true });
  const file = join(workDir, `${name}.lua`);
  const headers = Object.entries(shape.headers)
    .map(([key, value]) => `  h[${JSON.stringify(key)}] = ${JSON.stringify(value)}`)
    .join('\n');
  const next =
    shape.ids === 'known'
      ? `for i = 0, ${TRACE_IDS - 1} do
    local id = string.format('%08x-5bd1-4e0d-8f6a-%012x', i * 2654435 % 4294967296, i * 40503)
    requests[i] = template:gsub('{id}', id):gsub('{n}', tostring(i % ${shape.alternatives ?? 1}))
  end
  request = function()
    at = (at + 1) % ${TRACE_IDS}
    return requests[at]
  end`
      : `local from, to = template:find('{id}', 1, true)
  local before, after = template:sub(1, from - 1), template:sub(to + 1)
  local run = string.format('%08x-%04x-4e0d-8f6a-', os.time() % 4294967296, math.floor(os.clock() * 1e6) % 65536)
  request = function()
    at = at + 1
    return before .. run .. string.format('%012x', at) .. after
  end`;
  writeFileSync(
    file,
    `local requests, at = {}, 0
init = function()
  local h = {}
${headers}
  local template = wrk.format('GET', ${JSON.stringify(shape.path)}, h)
  ${next}
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('RESULT %d %d %d', summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`,
  );
  return file;
}

export interface LoadOptions {
  url: string;
  script: string;
  seconds: number;
  connections: number;
  cpus: string;
  /** Thread ids whose instructions are counted during the run (needs `perf`; left out without it). */
  watch?: readonly number[];
}

/** Throws when a program that the load needs is missing. */
export function checkTools(): void {
  for (const [program, from] of [
    ['wrk', 'wrk'],
    ['taskset', 'util-linux'],
  ] as const) {
    if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error) {
      throw new Error(`${program}: not found; it is in Debian's package ${from}`);
    }
  }
}

const countFile = join(workDir, 'instructions.csv');

/** Whether `perf stat` can count instructions here: virtual machines often hide the counters. */
const canCount = ((): boolean => {
  const probe = spawnSync('perf', ['stat', '-x', ',', '-e', 'instructions', 'true'], { encoding: 'utf8' });
  return probe.status === 0 && /^\d+,/m.test(probe.stderr);
})();

function countedInstructions(): number {
  const count = /^(\d+),[^,]*,instructions/m.exec(readFileSync(countFile, 'utf8'));
  return count === null ? Number.NaN : Number(count[1]);
}

/** Runs wrk, closed loop with one thread. Throws when wrk is missing, hangs or answers nothing. */
export function runLoad(options: LoadOptions): Promise<LoadResult> {
  const load = ['taskset', '-c', options.cpus, 'wrk', '-t1', `-c${options.connections}`, `-d${options.seconds}s`];
  load.push('--timeout', '5s', '-s', options.script, options.url);
  const counting = canCount && options.watch !== undefined;
  if (counting) {
    rmSync(countFile, { force: true });
    load.unshift(
      'perf',
      'stat',
      '-x',
      ',',
      '-e',
      'instructions',
      '-t',
      (options.watch ?? []).join(','),
      '-o',
      countFile,
      '--',
    );
  }
  return new Promise((done, failed) => {
    const child = spawn(load[0] as string, load.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    const collect = (part: Buffer): void => {
      out += part.toString('latin1');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const limit = setTimeout(() => child.kill('SIGKILL'), options.seconds * 1_000 + 10_000);
    child.on('error', failed);
    child.on('close', () => {
      clearTimeout(limit);
      const found = /RESULT (\d+) (\d+) (\d+)/.exec(out);
      if (found === null) return failed(new Error(`${load.join(' ')} gave no result:\n${out}`));
      const [requests, micros, failures] = found.slice(1).map(Number) as [number, number, number];
      const instructions = counting ? countedInstructions() : Number.NaN;
      done({ requests, seconds: micros / 1e6, failed: failures, instructions });
    });
  });
}
