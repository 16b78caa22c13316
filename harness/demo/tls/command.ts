import { EXIT } from '../../cli/exit-codes.ts';
import type { Output } from '../../cli/output.ts';
import { driveOpen } from '../../drive/drive.ts';
import { realClock } from '../../process/wait.ts';
import { type DemoRunOptions, leave, onBookinfo } from '../run.ts';
import { wholeTree } from '../scenes/judges.ts';
import type { Stage } from '../stage.ts';
import { type Look, lookAt } from './look.ts';

const MESH = { mesh: 'bookinfo-tls', line: 'tls: { idleTimeout: 2s }' };
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
export async function demoTls(options: DemoRunOptions, output: Output): Promise<void> {
  const story = await onBookinfo(MESH, options, output, (stage, signal) => {
    output.note(`\n${RATE} requests a second run through the mesh while the commands below are given.\n\n`);
    return play(stage, signal, output.note.bind(output));
  });
  const holds = story.steps.every((step) => step.holds) && story.failed === 0;
  const file = await leave(options, 'demo-tls.json', { holds, ...story });
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
        `     ${bar(look.share)} ${look.share.toFixed(0).padStart(3)} % of ${look.calls} calls by TLS; connections: ${look.tlsConnections} TLS, ${look.plainConnections} plain; ${look.mismatched} in the wrong state\n`,
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
