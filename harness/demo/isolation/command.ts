import { EXIT } from '../../cli/exit-codes.ts';
import type { Output } from '../../cli/output.ts';
import { type DemoRunOptions, leave, onBookinfo } from '../run.ts';
import { playIsolation } from './play.ts';

const MESH = { mesh: 'bookinfo-isolate', line: 'isolation: { drainSeconds: 5 }' };

/** `causeway demo isolate`: one instance leaves its traffic and comes back under load, by the commands of a person. */
export async function demoIsolation(options: DemoRunOptions, output: Output): Promise<void> {
  const story = await onBookinfo(MESH, options, output, (stage, signal) =>
    playIsolation(stage, signal, output.note.bind(output)),
  );
  const holds = story.steps.every((step) => step.holds) && story.failed === 0 && story.twice.length === 0;
  const file = await leave(options, 'demo-isolate.json', { holds, ...story });
  const verdict = `${story.sent} requests, ${story.posts} of them POSTs: ${story.failed} failed, ${story.twice.length} ran twice; ${holds ? 'every step holds' : 'not every step holds'}`;
  output.result(`\n   ${verdict}\n   ${file}`, { holds, ...story, file });
  if (!holds) process.exitCode = EXIT.failed;
}
