/**
 * The two programs of the overload rig, each a process of its own so that neither waits for the other:
 *
 *   node overload.mjs app <AppSettings as JSON>      reads AppChange objects, one JSON line each, from standard input
 *   node overload.mjs load <LoadPlan as JSON> <file> writes LoadSecond lines to standard output, the record to the file
 *
 * LISTEN_HOST and LISTEN_PORT, as a mesh's driver gives them to any application, stand for settings that are left out.
 *
 * Both end when their standard input closes, so that nothing is left behind when their parent is killed.
 */
import { createInterface } from 'node:readline';
import { App, type AppChange, type AppSettings } from './app.ts';
import { Load } from './load.ts';
import type { LoadPlan } from './plan.ts';

const [role, json = '', file = ''] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });
input.once('close', () => process.exit(0));

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

if (role === 'app') {
  const { LISTEN_HOST, LISTEN_PORT } = process.env;
  const place = { address: LISTEN_HOST ?? '127.0.0.1', port: Number(LISTEN_PORT ?? 0) };
  const app = await App.start(Object.assign(place, JSON.parse(json) as Omit<AppSettings, 'address' | 'port'>));
  input.on('line', (line) => app.change(JSON.parse(line) as AppChange));
  say({ listening: app.port });
} else if (role === 'load') {
  const load = new Load(JSON.parse(json) as LoadPlan, say);
  input.once('line', () => {
    void load.run().then(({ record, worstLagMs }) => {
      record.save(file);
      process.stdout.write(`${JSON.stringify({ worstLagMs })}\n`, () => process.exit(0));
    });
  });
  say({ ready: true });
} else {
  process.stderr.write('expected app or load\n');
  process.exit(2);
}
