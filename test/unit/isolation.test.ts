import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkConfig } from '../../envoy-configs/checks.ts';
import { resolveIstio } from '../../envoy-configs/istio/options.ts';
import { NotOnIstio, renderIstio } from '../../envoy-configs/istio/render.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { isolate } from '../../harness/commands/isolate.ts';
import { isolateInstance, releaseInstance } from '../../harness/config/edit-isolation.ts';
import { commanded } from '../support/command.ts';

const PLAIN = `mesh: small
gateways: [{ name: gateway, routes: [{ prefix: /, service: web }] }]
services:
  web: { instances: { base: { replicas: 2 } } }   # the only one
`;
const TARGET = {
  wasmPath: '/w.wasm',
  nodeDir: (id: string) => `/n/${id}`,
  adminSocket: (id: string) => `/r/${id}.sock`,
  accessLog: (id: string) => `/l/${id}.log`,
};

const config = (text: string) => parse(text) as CausewayConfig;
const nodes = (text: string, network?: string) =>
  renderMesh(resolveMesh(config(text), network === undefined ? {} : { network }), TARGET);
const filesOf = (text: string, id: string, network?: string) =>
  nodes(text, network).find((node) => node.id === id)?.files ?? {};

describe('a mesh that does not speak of it', () => {
  it('has neither filter nor listener', () => {
    const files = JSON.stringify(nodes(PLAIN).map((node) => node.files));
    expect(files).not.toContain('isolation');
    expect(files).not.toContain('causeway.control');
    expect(files).not.toContain('slow_start');
  });

  it('has the retry for it all the same, so that nobody else need change when somebody is isolated', () => {
    const before = nodes(`${PLAIN}isolation: {}\n`);
    const after = nodes(isolateInstance(`${PLAIN}isolation: {}\n`, 'web-base-1'));
    const changed = after.flatMap((node, at) =>
      Object.keys(node.files)
        .filter((path) => node.files[path] !== before[at]?.files[path])
        .map((path) => `${node.id}/${path}`),
    );
    expect(changed).toEqual(['web-base-1/ecds/causeway.inbound.json']);
    expect(filesOf(PLAIN, 'gateway')['rds/gateway.json']).toContain('x-causeway-isolated');
  });
});

describe('the control listener', () => {
  const listener = (files: Readonly<Record<string, string>>) =>
    (
      JSON.parse(files['lds/listeners.json'] ?? '{}') as {
        resources: { name: string; address: object; additional_addresses?: object[] }[];
      }
    ).resources.find(({ name }) => name === 'control');
  const at = (address: string, port: number) => ({ socket_address: { address, port_value: port } });

  it('is on loopback, wherever the instance is', () => {
    const text = `${PLAIN}isolation: {}\n`;
    expect(listener(filesOf(text, 'web-base-1'))?.address).toEqual(at('127.0.1.1', 15015));
    expect(listener(filesOf(text, 'web-base-1', '172.30'))?.address).toEqual(at('127.0.0.1', 15015));
  });

  it('is where EDAS has it, too, when that is configured', () => {
    const found = listener(filesOf(`${PLAIN}lossless: { edas: true }\nports: { control: 7000 }\n`, 'web-base-2'));
    expect(found).toMatchObject({
      address: at('127.0.1.2', 7000),
      additional_addresses: [{ address: at('127.0.1.2', 54199) }],
    });
  });
});

describe('edits', () => {
  it('keep comments, add what is missing and take it away again', () => {
    const one = isolateInstance(PLAIN, 'web-base-1');
    expect(one).toBe(`${PLAIN}isolation:\n  instances:\n    web-base-1: {}\n`);
    const both = isolateInstance(one, 'web-base-2', { method: { exact: 'POST' } });
    expect(config(both).isolation?.instances).toEqual({
      'web-base-1': {},
      'web-base-2': { match: { method: { exact: 'POST' } } },
    });
    expect(config(isolateInstance(both, 'web-base-2')).isolation?.instances?.['web-base-2']).toEqual({});
    expect(() => releaseInstance(one, 'web-base-2')).toThrow(/web-base-2 is not isolated; these are: web-base-1/);
    expect(config(releaseInstance(one, 'web-base-1')).isolation?.instances).toEqual({});
  });
});

describe('what is refused', () => {
  it.each([
    ['isolation: { instances: { web-base-3: {} } }', 'no instance "web-base-3"'],
    ['ports: { control: 9081 }', 'port 9081 twice'],
  ])('%s', (line, found) => {
    expect(checkConfig(config(`${PLAIN}${line}\n`)).map((problem) => problem.found)).toEqual([found]);
  });

  it.each([
    ["{ name: mq, port: 9080, at: 'mq:1' }", 'port 9080'],
    ["{ name: mq, port: 15015, at: 'mq:1' }", 'port 15015'],
    ["{ name: mq, port: 5672, at: 'mq:0' }", 'port 0'],
  ])('broker %s', (broker, found) => {
    const text = PLAIN.replace('web: {', `web: { brokers: [${broker}],`);
    expect(checkConfig(config(text)).map((problem) => problem.found)).toEqual([found]);
  });

  it.each([
    ['isolation: {}', 'isolation'],
    ['lossless: {}', 'isolation'],
  ])('%s for Istio', (line, name) => {
    const istio = resolveIstio(undefined, { url: 'file:///w.wasm', sha256: '' }, 'envoyfilter');
    expect(() => renderIstio(resolveMesh(config(`${PLAIN}${line}\n`)), istio)).toThrow(
      new RegExp(`^${name}: found its settings`),
    );
  });

  it('brokers for Istio', () => {
    const istio = resolveIstio(undefined, { url: 'file:///w.wasm', sha256: '' }, 'envoyfilter');
    const text = PLAIN.replace('web: {', "web: { brokers: [{ name: mq, port: 5672, at: 'mq:5672' }],");
    expect(() => renderIstio(resolveMesh(config(text)), istio)).toThrow(NotOnIstio);
  });
});

describe('the command, while the mesh does not run', () => {
  const ends: string[] = [];
  afterEach(() => {
    for (const folder of ends.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  async function commandedOn(text: string, id: string, force = false) {
    const folder = mkdtempSync(join(tmpdir(), 'cw-'));
    ends.push(folder);
    const file = join(folder, 'causeway.yaml');
    writeFileSync(file, text);
    const ended = await commanded((output) => isolate(id, { file, state: join(folder, 's'), force }, output));
    return { ...ended, text: readFileSync(file, 'utf8') };
  }

  it('edits the file', async () => {
    const { code, text } = await commandedOn(PLAIN, 'web-base-1');
    expect([code, Object.keys(config(text).isolation?.instances ?? {})]).toEqual([0, ['web-base-1']]);
  });

  it.each([
    ['the filter is switched off', `${PLAIN}filters: { isolation: { enabled: false } }\n`, /switched off/],
    ['it would be the last one', PLAIN.replace('replicas: 2', 'replicas: 1'), /last usable instance of web/],
    ['the other is isolated', isolateInstance(PLAIN, 'web-base-2'), /last usable instance of web/],
  ])('changes nothing when %s', async (_why, before, words) => {
    const { code, err, text } = await commandedOn(before, 'web-base-1');
    expect(err).toMatch(words);
    expect([code, text]).toEqual([2, before]);
  });
});

it('is configured in the example as its README says', () => {
  const readme = readFileSync(new URL('../../filters/isolation/README.md', import.meta.url), 'utf8');
  const [, yaml = ''] = /```yaml\n# causeway.yaml\n(isolation:[\s\S]*?)```/.exec(readme) ?? [];
  expect(Object.keys(config(yaml).isolation ?? {})).toEqual(['drainSeconds', 'identities', 'instances']);
});
