/**
 * `npx tsx test/bench/agent-cost.ts`: what the agent takes of an idle Envoy's main thread, by number of hosts listed. Each
 * case beside an Envoy without an agent, in turns; the figure is the difference.
 */
import { AgentEnvoy, staticCluster } from '../support/agent-envoy.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const SECONDS = 20;
const WARM_UP_SECONDS = 5;
const SIZES = [0, 10, 100, 1_000, 10_000];
const AGENT = { intervalMs: 1_000, mainThreadPercent: 1, cpu: 'host' } as const;

const sleep = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));

interface Cost {
  /** Share of one CPU that the main thread took. */
  readonly percent: number;
  readonly periodMs: number;
}

async function measure(module: string, hosts: number, withAgent: boolean): Promise<Cost> {
  const addresses = Array.from({ length: hosts }, (_, i) => ({ address: `127.1.${i >> 8}.${i & 255}`, port: 9 }));
  const rig = await AgentEnvoy.start({
    module,
    agent: withAgent ? AGENT : null,
    wanted: hosts === 0 ? [] : ['many'],
    clusters: hosts === 0 ? [] : [staticCluster('many', addresses)],
  });
  try {
    // The first polls of a long list come too early: nothing is known of their cost yet.
    await sleep(WARM_UP_SECONDS + (hosts > 1_000 ? SECONDS : 0));
    const [from, before] = [process.hrtime.bigint(), await rig.mainThreadNs()];
    await sleep(hosts > 1_000 ? 4 * SECONDS : SECONDS);
    const [to, after] = [process.hrtime.bigint(), await rig.mainThreadNs()];
    return {
      percent: (Number(after - before) / Number(to - from)) * 100,
      periodMs: (await rig.gauge('causeway_agent_period_milliseconds.kind.hosts')) ?? 0,
    };
  } finally {
    await rig.stop();
  }
}

const module = await compilePlugin('test/plugins/agent-reader.ts');
process.stdout.write('hosts   without agent   with agent   the agent   period of the host list\n');
for (const hosts of SIZES) {
  const without = await measure(module, hosts, false);
  const agent = await measure(module, hosts, true);
  const cells = [
    String(hosts).padEnd(8),
    `${without.percent.toFixed(2)} %`.padEnd(16),
    `${agent.percent.toFixed(2)} %`.padEnd(13),
    `${(agent.percent - without.percent).toFixed(2)} %`.padEnd(12),
    hosts === 0 ? '–' : `${agent.periodMs} ms`,
  ];
  process.stdout.write(`${cells.join('')}\n`);
}
