import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readRecord } from '../../apply/record.ts';
import { findAssets, ownCommand } from '../../cli/assets.ts';
import { createDriver, envoyFor } from '../../cli/drivers.ts';
import { CommandError, EXIT } from '../../cli/exit-codes.ts';
import { interruptible } from '../../cli/interrupt.ts';
import { type GlobalOptions, resolveOptions } from '../../cli/options.ts';
import type { Output } from '../../cli/output.ts';
import { driveOpen } from '../../drive/drive.ts';
import { StateFolder } from '../../drivers/state.ts';
import { isSupervised } from '../../drivers/supervisor.ts';
import { realClock } from '../../process/wait.ts';
import { meshFile } from '../command.ts';
import { openStage } from '../open.ts';
import { wholeTree } from '../scenes/judges.ts';
import type { Stage } from '../stage.ts';
import { type Look, lookAt } from './look.ts';

export interface TlsDemoOptions extends GlobalOptions {
  /** Folder of demo-tls.json. Default `build`. */
  readonly out?: string;
}

const MESH = 'bookinfo-tls';
const SERVICE = 'reviews';
const RATE = 30;

interface Step {
  readonly title: string;
  readonly command: readonly string[];
  /** Share of the calls that go by TLS afterwards, from and to, in percent. */
  readonly share: readonly [number, number];
}

const STEPS: readonly Step[] = [
  { title: 'A fifth of the traces by TLS', command: ['canary', '20%', SERVICE], share: [5, 45] },
  { title: 'All calls by TLS, none in plaintext', command: ['on', SERVICE], share: [100, 100] },
  { title: 'New certificates and keys for every proxy', command: ['rotate'], share: [100, 100] },
  { title: 'Back to plaintext', command: ['off', SERVICE], share: [0, 0] },
  { title: 'And on again', command: ['on', SERVICE], share: [100, 100] },
];

/** `causeway demo tls`: calls to one service change between plaintext and TLS under load, by the commands of a person. */
export async function demoTls(options: TlsDemoOptions, output: Output): Promise<void> {
  const assets = findAssets(options.wasm);
  const state = new StateFolder(join(resolve(options.state), MESH));
  if (readRecord(state) && (await isSupervised(state))) {
    throw new CommandError(EXIT.state, `mesh ${MESH} runs already; \`causeway down --mesh ${MESH}\` ends it`);
  }
  const envoy = await envoyFor('process', output.progress);
  const driver = createDriver({ driver: 'process', mesh: MESH, envoy, prefix: '', ...assets }, state);
  const text = readFileSync(meshFile(), 'utf8').replace(/^mesh: .*$/m, `mesh: ${MESH}\ntls: { idleTimeout: 2s }`);
  const story = await interruptible(async (signal) => {
    const { stage, close } = await openStage({
      deployment: { state, driver, driverName: 'process', wasmPath: assets.wasmPath, resolve: resolveOptions(options) },
      text,
      file: join(dirname(state.root), `${MESH}.yaml`),
      cli: ownCommand(),
      progress: output.progress,
    });
    try {
      output.note(`\n${RATE} requests a second run through the mesh while the commands below are given.\n`);
      return await play(stage, signal, output.note.bind(output));
    } finally {
      output.progress('ending the mesh');
      await close();
    }
  });
  const holds = story.steps.every((step) => step.holds) && story.failed === 0;
  const folder = resolve(options.out ?? 'build');
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'demo-tls.json');
  await writeFile(file, `${JSON.stringify({ holds, ...story }, null, 2)}\n`);
  const verdict = `${story.sent} requests, ${story.failed} failed; ${holds ? 'every step holds' : 'not every step holds'}`;
  output.result(`\n   ${verdict}\n   ${file}`, { holds, ...story, file });
  if (!holds) process.exitCode = EXIT.failed;
}

interface Told extends Look {
  title: string;
  holds: boolean;
}

async function play(stage: Stage, signal: AbortSignal, say: (line: string) => void) {
  const stop = new AbortController();
  const traffic = driveOpen({
    target: stage.url,
    rate: RATE,
    durationMs: 180_000,
    signal: stop.signal,
    next: () => ({ method: 'GET', path: '/productpage', headers: { accept: 'application/json' }, kind: 'all' }),
    judge: wholeTree,
  });
  const steps: Told[] = [];
  try {
    for (const step of STEPS) {
      signal.throwIfAborted();
      say(`$ causeway tls ${step.command.join(' ')}`);
      await stage.command('tls', ...step.command);
      // One second's grace, and a tick of the filter's counters; then the old pool's idle time.
      await realClock.sleep(2_000);
      const look = await lookAt(stage, SERVICE, 3_000);
      const [from, to] = step.share;
      const oldPool = to === 0 ? look.tlsConnections : from === 100 ? look.plainConnections : 0;
      const holds = look.share >= from && look.share <= to && look.mismatched === 0 && oldPool === 0;
      steps.push({ title: step.title, ...look, holds });
      say(`   ${holds ? '✓' : '✗'} ${step.title}`);
      say(
        `     ${bar(look.share)} ${look.share.toFixed(0).padStart(3)} % of ${look.calls} calls by TLS; connections: ${look.tlsConnections} TLS, ${look.plainConnections} plain; ${look.mismatched} in the wrong state`,
      );
    }
  } finally {
    stop.abort();
  }
  const { sent, failed, failures } = await traffic;
  return { steps, sent, failed, failures };
}

function bar(share: number): string {
  const full = Math.round(share / 5);
  return '█'.repeat(full) + '░'.repeat(20 - full);
}
