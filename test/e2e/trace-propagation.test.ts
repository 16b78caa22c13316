/** The example of trace-propagation's README, as it stands, on a real Envoy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { expect, it } from 'vitest';
import { StartedEnvoy } from '../flood/sidecar.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const EXAMPLE = join(import.meta.dirname, '../../envoy-configs/examples/trace-propagation.yaml');

/** The example with this module, and on ports that are free. */
async function exampleWith(module: string): Promise<(adminSocket: string) => string> {
  const text = (await readFile(EXAMPLE, 'utf8')).replaceAll('build/causeway.wasm', module);
  return (adminSocket) =>
    text.replaceAll(/port_value: \d+/g, 'port_value: 0').replace('trace-propagation.admin.sock', adminSocket);
}

it('carries the tag over an application that forwards only the trace id', async () => {
  const envoy = await StartedEnvoy.start(await exampleWith(await compilePlugin('filters/suite.ts')), 2);
  try {
    const ask = async (listener: string, headers: Record<string, string>): Promise<unknown> => {
      const answer = await request(`http://127.0.0.1:${envoy.port(listener)}/`, { headers, headersTimeout: 10_000 });
      await answer.body.dump();
      expect(answer.statusCode).toBe(200);
      return answer.headers['x-sent-tag'];
    };
    await ask('inbound', { 'x-request-id': 'trace-1', 'x-asm-traffic-lane': 'dev1' });
    expect(await ask('outbound', { 'x-request-id': 'trace-1' })).toBe('dev1');
    expect(await ask('outbound', { 'x-request-id': 'trace-2' })).toBeUndefined();
    await ask('inbound', { 'x-request-id': '8f14e45f-ceea-41d4-a716-446655440000', 'x-asm-traffic-lane': 'dev2' });
    expect(await ask('outbound', { 'x-request-id': '8f14e45f-ceea-91d4-a716-446655440000' })).toBe('dev2');
  } finally {
    await envoy.stop();
  }
});
