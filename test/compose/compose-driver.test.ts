import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hopsOf } from '../../harness/bookinfo/hop.ts';
import { ComposeDriver, composeCommand } from '../../harness/drivers/compose.ts';
import { gatewayAddress } from '../../harness/drivers/compose-file.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { prometheusImage } from '../../tools/images/build.ts';
import { plainMesh } from '../e2e/plain-mesh.ts';
import { ask, bookinfoBundle, temporaryState } from '../e2e/support.ts';
import { noPromtool } from '../support/required.ts';
import { testImages, whyNoEngine } from './engine.ts';

const run = promisify(execFile);
const PREFIX = '172.29';
const PROJECT = 'causeway-driver-test';
const PROMETHEUS = '/usr/bin/prometheus';

/** One of Prometheus' answers: the labels, and the time and value of the newest sample. */
interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

const missing = await whyNoEngine();
const noPrometheus = noPromtool();

describe.skipIf(missing !== null)('a mesh of containers', () => {
  let driver: ComposeDriver;
  let remove: () => Promise<void>;
  let folder = '';
  const url = `http://${gatewayAddress(PREFIX, 0)}:8080/api/v1/products/0`;

  beforeAll(async () => {
    const temporary = await temporaryState();
    remove = temporary.remove;
    const { state } = temporary;
    folder = state.root;
    const images = await testImages();
    const wasmPath = join(state.root, 'wasm/none.wasm');
    const env = { ENVOY_IMAGE: images.envoy, NODE_IMAGE: images.node };
    const bookinfo = await bookinfoBundle();
    driver = new ComposeDriver({ state, wasmPath, bookinfo, project: PROJECT, prefix: PREFIX, env });
    await driver.up(plainMesh(PREFIX, '0.0.0.0', state.target(wasmPath)).plans, console.log);
  }, 180_000);

  afterAll(async () => {
    await driver.down();
    await remove();
  }, 120_000);

  it('serves through gateway, sidecars and applications, also by the published port', async () => {
    for (const target of [url, 'http://127.0.0.1:8080/api/v1/products/0']) {
      const { status, hop } = await ask(target);
      expect(status).toBe(200);
      expect(hop && hopsOf(hop).map(({ instance }) => instance)).toEqual(['productpage-base-1', 'details-base-1']);
    }
  });

  it.skipIf(noPrometheus !== null)(
    'is scraped by Prometheus, started by the observability profile',
    async () => {
      const file = join(folder, 'compose.yaml');
      const [program = '', ...first] = await composeCommand();
      const project = [...first, '--project-name', PROJECT, '--file', file, '--profile', 'observability'];
      const images = await testImages();
      const env = {
        ...process.env,
        ENVOY_IMAGE: images.envoy,
        NODE_IMAGE: images.node,
        PROMETHEUS_IMAGE: process.env.PROMETHEUS_IMAGE ?? (await prometheusImage(PROMETHEUS)),
      };
      await run(program, [...project, 'up', '-d', '--no-build', 'observability-prometheus'], { env });
      const asked = async <T>(path: string): Promise<T> => {
        const { status, text } = await ask(`http://127.0.0.1:9090/api/v1/${path}`);
        expect(status).toBe(200);
        return (JSON.parse(text) as { data: T }).data;
      };
      const up = async () => {
        const { result } = await asked<{ result: Sample[] }>('query?query=up');
        return result.map(({ metric, value }) => `${metric.instance} ${value[1]}`).sort();
      };
      const all = ['details-base-1 1', 'gateway 1', 'productpage-base-1 1'];
      await waitUntil(
        'every proxy scraped',
        async () => {
          const seen = await up();
          return String(seen) === String(all) ? found(undefined) : notYet(String(seen));
        },
        { deadlineMs: 60_000, intervalMs: 500 },
      );
      const { groups } = await asked<{ groups: { rules: { health: string }[] }[] }>('rules');
      const rules = groups.flatMap((group) => group.rules);
      expect(rules.length).toBeGreaterThan(0);
      expect(rules.filter(({ health }) => health === 'err')).toEqual([]);
    },
    90_000,
  );

  it('reports what runs, and reads an application’s journal from the host', async () => {
    expect((await driver.status()).map(({ id, app, sidecar, ready }) => [id, app.state, sidecar.state, ready])).toEqual(
      [
        ['productpage-base-1', 'running', 'running', true],
        ['details-base-1', 'running', 'running', true],
        ['gateway', 'absent', 'running', true],
      ],
    );
    await ask(`${url}/ratings`, {}, { method: 'POST', body: JSON.stringify({ post: 'c-1' }) });
    expect(await driver.journal('productpage-base-1')).toMatchObject([
      { event: 'begin' },
      { post: 'c-1', event: 'end' },
    ]);
  });

  it('kills, revives, pauses and resumes one instance', async () => {
    await driver.kill('details-base-1');
    expect((await driver.status())[1]).toMatchObject({ app: { state: 'ended' }, sidecar: { state: 'ended' } });
    expect((await ask(url)).status).toBe(503);
    await driver.revive('details-base-1');
    const served = async () => ((await ask(url)).status === 200 ? found(true) : notYet('no 200'));
    await waitUntil('served again', served, { deadlineMs: 10_000 });
    await driver.pause('details-base-1', 'app');
    expect((await driver.status())[1]).toMatchObject({ app: { state: 'paused' }, sidecar: { state: 'running' } });
    await driver.resume('details-base-1', 'app');
    await waitUntil('served again', served, { deadlineMs: 10_000 });
  }, 90_000);

  it('leaves no container and no network behind', async () => {
    await driver.down();
    const label = `label=com.docker.compose.project=${PROJECT}`;
    expect((await run('docker', ['ps', '--all', '--quiet', '--filter', label])).stdout).toBe('');
    expect((await run('docker', ['network', 'ls', '--quiet', '--filter', label])).stdout).toBe('');
  }, 60_000);
});
