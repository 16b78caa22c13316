import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EnvoyAdmin } from '../../harness/envoy/admin.ts';
import { ask } from '../e2e/support.ts';
import { type IstioStory, openIstioStory } from './story-stage.ts';

/** The agent out of the override of the bootstrap, beside what Istio itself tells a proxy. */

const THRESHOLD = 0.05;
const TEXT = `mesh: agents
agent: { interval: 250ms }
gateways: [{ name: gateway, routes: [{ prefix: /, service: ratings }] }]
services:
  ratings: { calls: [], limits: { adaptive: { cpu: ${THRESHOLD} } }, instances: { base: {} } }
`;

describe.each([
  ['envoyfilter', '127.93'],
  ['trafficextension', '127.94'],
] as const)('the agent beside filters by %s', (api, network) => {
  let story: IstioStory;

  beforeAll(async () => {
    story = await openIstioStory({ network, scale: 20, api, edit: () => TEXT });
    expect((await ask(`${story.stage.url}/ratings/1`)).status).toBe(200);
  }, 30 * 60_000);

  afterAll(() => story?.close());

  async function metric(id: string, name: string): Promise<number> {
    const plan = story.deployment.plans.find(({ node }) => node.id === id);
    if (!plan) throw new Error(`no ${id}`);
    const stats = await new EnvoyAdmin(plan.node.adminSocket).stats(`^wasmcustom\\.${name}$`);
    return stats.get(`wasmcustom.${name}`) ?? Number.NaN;
  }

  it.each(['gateway', 'ratings-base-1'])('reads the CPU pressure at %s', async (id) => {
    const polls = (result: string) => metric(id, `causeway_agent_polls_total.kind.pressure.result.${result}`);
    await expect.poll(() => polls('ok'), { timeout: 15_000, interval: 100 }).toBeGreaterThan(2);
    expect(await polls('failed')).toBe(0);
  });

  it('is known to be alive by the workers', async () => {
    const age = () => metric('ratings-base-1', 'causeway_agent_age_milliseconds');
    await expect.poll(age, { timeout: 15_000, interval: 100 }).toBeLessThan(1_000);
  });

  it('tells adaptive-rate-limit the CPU pressure of the machine', async () => {
    const busy = Array.from({ length: 8 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    try {
      const level = () => metric('ratings-base-1', 'causeway_adaptive_rate_limit_level_permille');
      await expect.poll(level, { timeout: 40_000, interval: 200 }).toBeGreaterThan(700 / THRESHOLD);
    } finally {
      for (const child of busy) child.kill('SIGKILL');
    }
  });
});
