import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findAssets, ownCommand } from '../../cli/assets.ts';
import { envoyFor } from '../../cli/drivers.ts';
import { CommandError, EXIT } from '../../cli/exit-codes.ts';
import { interruptible } from '../../cli/interrupt.ts';
import type { Output } from '../../cli/output.ts';
import type { Load } from '../../heal/load.ts';
import { CALLERS, HealStage, PEER } from '../../heal/stage.ts';
import { found, notYet, waitUntil } from '../../process/wait.ts';
import { type DemoRunOptions, demoState, leave } from '../run.ts';

const MESH = 'heal';
const NETWORK = '127.70';
const RATE = 60;
const BAD = 'target-base-2';
const WELL_MS = 3_000;
const WATCHED_MS = 8_000;
/** How soon failures must be over after the first one. */
const BOUND_MS = 2_000;

/** `causeway demo heal`: a host goes bad under load; who notices, how soon, and who is told. */
export async function demoHeal(options: DemoRunOptions, output: Output): Promise<void> {
  const assets = findAssets(options.wasm);
  const app = join(dirname(assets.bookinfo), 'heal.mjs');
  if (!existsSync(app)) throw new CommandError(EXIT.failed, `${app}: not there; run \`make build\``);
  const state = await demoState(options, MESH);
  const envoy = await envoyFor('process', output.progress);
  const story = await interruptible(async (signal) => {
    const stage = await HealStage.open({
      state,
      network: options.network ?? NETWORK,
      envoy,
      wasmPath: assets.wasmPath,
      app,
      cli: ownCommand(),
      progress: output.progress,
    });
    try {
      return await play(stage, signal, output.note.bind(output));
    } finally {
      output.progress('ending the mesh');
      await stage.close();
    }
  });
  const holds = story.own.lastMs < BOUND_MS && story.third.failed === 0 && story.third.hosts === 2;
  const file = await leave(options, 'demo-heal.json', { holds, ...story });
  output.result(`\n   ${holds ? 'it holds' : 'it does not hold'}\n   ${file}`, { holds, ...story, file });
  if (!holds) process.exitCode = EXIT.failed;
}

interface Side {
  sent: number;
  failed: number;
  /** From the first failure to the last. */
  lastMs: number;
}

async function play(stage: HealStage, signal: AbortSignal, say: (line: string) => void) {
  const [first, second, third] = CALLERS;
  say(`\nThree callers of one service with three hosts. ${RATE} requests a second each; nothing is retried.`);
  say('caller-c asks for a moment, then keeps still. caller-a and caller-b go on.');
  const quiet = stage.load(third, RATE);
  await quiet.goOn(WELL_MS);
  await quiet.stop();
  const own = stage.load(first, RATE);
  const peer = stage.load(first, RATE, PEER);
  const other = stage.load(second, RATE);
  try {
    await own.goOn(WELL_MS);
    signal.throwIfAborted();
    say(`\n1. ${BAD} answers every request with 503. Its health check goes on passing.`);
    const from = [own.now(), peer.now()] as const;
    await stage.behave(BAD);
    await own.goOn(WATCHED_MS);
    signal.throwIfAborted();
    say('   failed requests of caller-a, each column a quarter of a second:');
    say(`   causeway                 ${strip(own, from[0])}`);
    say(`   native outlier_detection ${strip(peer, from[1])}`);
    const [ours, theirs] = [sideOf(own), sideOf(peer)];
    say(`   ${mark(ours.lastMs < BOUND_MS)} causeway: ${ours.failed} failed within ${Math.round(ours.lastMs)} ms`);
    say(`     native: ${theirs.failed} failed within ${Math.round(theirs.lastMs)} ms`);
    say('\n2. caller-a and caller-b have told the healing centre. It tells caller-c, which has not met the host.');
    await heard(stage);
    const after = stage.load(third, RATE);
    await after.goOn(WELL_MS);
    await after.stop();
    const told = {
      sent: after.sent.length,
      failed: after.failed(0).length,
      hosts: new Set(after.sent.map(({ instance }) => instance)).size,
    };
    say(
      `   ${mark(told.failed === 0)} caller-c: ${told.sent} requests, ${told.failed} failed, ${told.hosts} hosts serve it`,
    );
    return { own: ours, native: theirs, third: told };
  } finally {
    await Promise.all([own.stop(), peer.stop(), other.stop()]);
  }
}

function sideOf(load: Load): Side {
  const times = load.failed(0).map(({ at }) => at);
  const lastMs = times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
  return { sent: load.sent.length, failed: times.length, lastMs };
}

/** Until caller-c has heard. */
async function heard(stage: HealStage): Promise<void> {
  await waitUntil(
    'the centre’s word at caller-c',
    async () => {
      const listed = await stage.sum(CALLERS[2], /^outlier_blacklist_listed_total\..*\.reason\.centre$/);
      return listed > 0 ? found(undefined) : notYet('it has not heard');
    },
    { deadlineMs: 30_000 },
  );
}

const BARS = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const COLUMN_MS = 250;

/** Failures by quarter of a second from `from` on; a full column is a third of all requests. */
function strip(load: Load, from: number): string {
  const full = (RATE * COLUMN_MS) / 1_000 / 3;
  return Array.from({ length: WATCHED_MS / COLUMN_MS }, (_, n) => {
    const failed = load.failed(from + n * COLUMN_MS, from + (n + 1) * COLUMN_MS).length;
    return failed === 0 ? BARS[0] : BARS[Math.min(8, Math.max(1, Math.round((8 * failed) / full)))];
  }).join('');
}

function mark(holds: boolean): string {
  return holds ? '✓' : '✗';
}
