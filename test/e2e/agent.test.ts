/** The agent on a real Envoy: what workers get to know, and what happens when it learns nothing more. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentEnvoy, staticCluster } from '../support/agent-envoy.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const AGENT = { intervalMs: 250, mainThreadPercent: 1, cpu: 'host' } as const;
/** A port of loopback on which nobody listens. */
const NOBODY = 1;

const healthy = createServer((_request, response) => response.end('ok'));
let rig: AgentEnvoy;
let port = 0;

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    healthy.listen(0, '127.0.0.1', resolve);
  });
  port = (healthy.address() as AddressInfo).port;
  rig = await AgentEnvoy.start({
    module: await compilePlugin('test/plugins/agent-reader.ts'),
    agent: AGENT,
    wanted: ['checked', 'app', 'nowhere'],
    clusters: [staticCluster('checked', [{ port }, { port: NOBODY }], true), staticCluster('unasked', [{ port }])],
    concurrency: 2,
  });
}, 300_000);

afterAll(async () => {
  await rig?.stop();
  healthy.closeAllConnections();
  healthy.close();
});

const until = (what: string, holds: (known: Record<string, string>) => boolean, timeout = 20_000): Promise<void> =>
  expect.poll(async () => holds(await rig.knows()), { message: what, timeout, interval: 100 }).toBe(true);

describe('workers', () => {
  it('see hosts with their health, and counters that move', async () => {
    await until('the unhealthy host', ({ hosts = '' }) => hosts.includes(`127.0.0.1:${NOBODY}/down/`));
    const { hosts = '', alive } = await rig.knows();
    expect(alive).toBe('yes');
    expect(hosts).toMatch(new RegExp(`^checked=2 127\\.0\\.0\\.1:${port}/up/1/.*; app=1 .*; nowhere=none$`));
    const requests = (text: string) => Number(/app=1 [^/]*\/up\/1\/(\d+)/.exec(text)?.[1]);
    await until('the requests of this very test', ({ hosts: now = '' }) => requests(now) > requests(hosts));
  });

  it('see CPU pressure rise with the machine’s load, and fall after it', async () => {
    const busy = Array.from({ length: 8 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    try {
      await until('high pressure', ({ pressure = '-1' }) => Number(pressure) >= 700, 40_000);
    } finally {
      for (const child of busy) child.kill('SIGKILL');
    }
    expect(Number((await rig.knows()).pressure)).toBeLessThanOrEqual(1000);
  });

  it('notice that the agent learns nothing, go on, and notice that it does again', async () => {
    await until('an agent', ({ alive }) => alive === 'yes');
    await rig.reachAdmin(false);
    await until('no agent', ({ alive, pressure, hosts }) => {
      return alive === 'no' && pressure === '-1' && hosts === 'checked=none; app=none; nowhere=none';
    });
    const age = (await rig.gauge('causeway_agent_age_milliseconds')) ?? 0;
    expect(age).toBeGreaterThan(3 * AGENT.intervalMs);
    await expect
      .poll(() => rig.gauge('causeway_agent_age_milliseconds'), { timeout: 10_000, interval: 100 })
      .toBeGreaterThan(age);
    await rig.reachAdmin(true);
    await until('the agent again', ({ alive, hosts = '' }) => alive === 'yes' && hosts.startsWith('checked=2 '));
  });
});
