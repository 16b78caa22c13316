import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { readRecord } from '../apply/record.ts';
import { findPage } from '../cli/assets.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { interruptible } from '../cli/interrupt.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { isSupervised } from '../drivers/supervisor.ts';
import { realClock } from '../process/wait.ts';
import { Collector } from '../topology/collector.ts';
import type { Topology } from '../topology/model.ts';
import { runningIn } from '../topology/running.ts';
import { TopologyServer } from '../topology/server.ts';
import { topologySvg } from '../topology/svg.ts';
import { topologyText } from '../topology/text.ts';

export interface TopologyOptions extends GlobalOptions {
  readonly text?: boolean;
  /** True = to standard output, else a file. */
  readonly svg?: boolean | string;
  readonly address: string;
  readonly port: number;
  /** How long `--text`, `--svg` and `--json` look before they tell. */
  readonly seconds: number;
}

/** `causeway topology`: serves the page until Ctrl-C, or tells once. */
export async function topology(options: TopologyOptions, output: Output): Promise<void> {
  const state = stateFolder(options);
  if (!readRecord(state) || !(await isSupervised(state))) throw new CommandError(EXIT.state, 'no such mesh runs');
  const collector = new Collector({ running: runningIn(state) });
  const once = options.text === true || options.svg !== undefined || output.json;
  if (once) {
    output.progress(`looking for ${options.seconds} s`);
    return tell(await lookFor(collector, options.seconds), options, output);
  }
  await interruptible(async (signal) => {
    const page = readFileSync(findPage(), 'utf8');
    const { address, port } = options;
    const server = await TopologyServer.listen(collector, { page, address, port }).catch((error: Error) => {
      throw new CommandError(EXIT.failed, `${error.message}; --port and --address name another place`);
    });
    output.note(`${server.url}  (Ctrl-C ends it)`);
    await collector.run(signal, (seen) => server.publish(seen));
    await server.close();
  });
}

async function lookFor(collector: Collector, seconds: number): Promise<Topology> {
  const end = realClock.now() + seconds * 1000;
  for (;;) {
    const start = realClock.now();
    const seen = await collector.poll();
    if (seen === undefined) throw new CommandError(EXIT.state, 'the mesh has ended');
    if (realClock.now() >= end) return seen;
    await realClock.sleep(Math.max(0, Math.min(start + 1000, end) - realClock.now()));
  }
}

function tell(topology: Topology, { svg, text }: TopologyOptions, output: Output): void {
  const drawn = svg === undefined ? '' : topologySvg(topology);
  if (typeof svg === 'string') writeFileSync(resolve(svg), drawn);
  const shown = typeof svg === 'string' ? `${resolve(svg)}\n` : drawn;
  output.result(text === true ? `${topologyText(topology)}\n${shown}` : shown, { topology });
}
