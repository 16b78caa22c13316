import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject, Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { issueTokens } from '../../harness/centre/tokens.ts';
import { centreCommand } from '../../harness/cli/drivers.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { StateFolder } from '../../harness/drivers/state.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function text(centre: string, more = '', healing = true): string {
  return [
    'mesh: m',
    centre === '' ? '' : `centre: ${centre}`,
    more,
    'gateways: [{ name: gateway, routes: [{ prefix: /, service: front }] }]',
    'services:',
    '  front: { calls: [reviews, ratings], command: [x], instances: { base: {} } }',
    `  reviews: { calls: [], command: [x], healing: ${healing}, instances: { base: { replicas: 2 } } }`,
    '  ratings: { calls: [], command: [x], instances: { base: {} } }',
    '',
  ].join('\n');
}

const meshOf = (centre: string, more?: string): Mesh => resolveMesh(parseConfig(text(centre, more), 'causeway.yaml'));

function state(): StateFolder {
  const folder = mkdtempSync(join(tmpdir(), 'cw-tokens-'));
  folders.push(folder);
  return new StateFolder(folder);
}

function bootstrapOf(mesh: Mesh, id: string): JsonObject {
  const node = renderMesh(mesh, state().target('/w.wasm')).find((one) => one.id === id);
  return JSON.parse(node?.files['bootstrap.json'] ?? '{}') as JsonObject;
}

describe('`centre`', () => {
  it.each([
    ['{ address: 10.0.0.7:7070 }', '', 'centre.address', /without `tls`/],
    ['{ address: "127.0.0.1:99999" }', '', 'centre.address', /127\.0\.0\.1:99999/],
    ['{}', 'agent: { enabled: false }', 'agent.enabled', /a centre without agents/],
    ['{ start: true, credentials: /run/tokens }', '', 'centre.start', /`start` with `credentials`/],
    ['{ start: true, tls: { ca: /ca.pem, name: centre } }', '', 'centre.start', /`start` with `tls`/],
    ['{ port: 1 }', '', 'centre', /port/],
  ])('%s %s is refused at %s', (centre, more, path, message) => {
    expect(() => meshOf(centre, more)).toThrow(message);
    expect(() => meshOf(centre, more)).toThrow(path.split('.').at(-1) ?? '');
  });

  it('needs a service that is to be healed, or instances that are to be isolated', () => {
    expect(() => parseConfig(text('{}', '', false), 'causeway.yaml')).toThrow(/no service to heal/);
    expect(parseConfig(text('{}', 'isolation: {}', false), 'causeway.yaml').isolation).toEqual({});
  });

  it('may isolate every instance but one of each service, and of each strict lane', () => {
    const mesh = resolveMesh(
      parseConfig(
        [
          'mesh: m',
          'centre: {}',
          'isolation: { instances: { web-base-1: {} } }',
          'gateways: [{ name: gateway, routes: [{ prefix: /, service: web }] }]',
          'services:',
          '  web: { calls: [], command: [x], instances: { base: { replicas: 3 }, dev: {}, strict: { replicas: 2 } } }',
          '  alone: { calls: [], command: [x], instances: { base: {} } }',
          'lanes: { dev: {}, strict: { mode: strict } }',
          '',
        ].join('\n'),
        'causeway.yaml',
      ),
    );
    const nodes = renderMesh(mesh, state().target('/w.wasm'));
    const obeying = nodes.filter(({ files }) =>
      Object.values(files).some((text) => text.includes('\\"centre\\":true')),
    );
    // The file isolates the first: another one stays.
    expect(obeying.map(({ id }) => id)).toEqual(['web-base-1', 'web-base-3', 'web-dev-1', 'web-strict-2']);
    const asking = nodes.filter(({ files }) => /"instance\\+":\\+"/.test(files['bootstrap.json'] ?? ''));
    expect(asking.map(({ id }) => id)).toEqual(nodes.filter(({ kind }) => kind === 'sidecar').map(({ id }) => id));
  });

  it('gives every proxy an agent and a way to the centre; without it nothing of the kind is rendered', () => {
    for (const id of ['gateway', 'front-base-1']) {
      const without = JSON.stringify(bootstrapOf(meshOf(''), id));
      expect(without).not.toContain('centre');
      expect(without).not.toContain('bootstrap_extensions');
      const bootstrap = bootstrapOf(meshOf('{}'), id);
      expect(JSON.stringify(bootstrap.bootstrap_extensions)).toContain('causeway-centre');
      const { clusters } = bootstrap.static_resources as unknown as { clusters: { name: string }[] };
      expect(clusters.map(({ name }) => name)).toEqual(['causeway.admin', 'causeway.centre']);
      expect(JSON.stringify(clusters)).toContain(`/nodes/${id}/secrets/centre.json`);
    }
  });

  it('beyond loopback is spoken to by TLS, with the mesh’s own certificate where there is one', () => {
    const tls = '{ address: 10.0.0.7:7070, tls: { ca: /etc/ca.pem, name: centre.example }, credentials: /run/tokens }';
    const plain = JSON.stringify(bootstrapOf(meshOf(tls), 'front-base-1'));
    expect(plain).toContain('"trusted_ca":{"filename":"/etc/ca.pem"}');
    expect(plain).toContain('/run/tokens/front-base-1.json');
    expect(plain).not.toContain('identity');
    expect(JSON.stringify(bootstrapOf(meshOf(tls, 'tls: {}'), 'front-base-1'))).toContain('secrets/identity.json');
  });
});

describe('tokens', () => {
  it('are made once for each proxy; the centre’s file has hashes, and the services that each may speak of', async () => {
    const folder = state();
    const mesh = meshOf('{}');
    await issueTokens(mesh, folder);
    const file = join(folder.centre, 'credentials.json');
    const before = readFileSync(file, 'utf8');
    await issueTokens(mesh, folder);
    expect(readFileSync(file, 'utf8')).toBe(before);
    const { credentials } = JSON.parse(before) as { credentials: { identity: string; services: string[] }[] };
    expect(credentials.map(({ identity, services }) => [identity, services])).toEqual([
      ['gateway', []],
      ['front-base-1', ['reviews']],
      ['reviews-base-1', []],
      ['reviews-base-2', []],
      ['ratings-base-1', []],
      ['operator', undefined],
    ]);
    const operator = join(folder.centre, 'operator.token');
    expect(before).not.toContain(readFileSync(operator, 'utf8').trim());
    for (const path of [file, operator, join(folder.target('').nodeDir('front-base-1'), 'secrets/centre.json')]) {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    }
    const secret = readFileSync(join(folder.target('').nodeDir('front-base-1'), 'secrets/centre.json'), 'utf8');
    expect(before).not.toContain(/Bearer ([^"]+)/.exec(secret)?.[1] ?? 'a token');
  });

  it('of somebody else are left alone', async () => {
    const folder = state();
    await issueTokens(meshOf('{ credentials: /run/tokens }'), folder);
    expect(() => statSync(folder.centre)).toThrow(/ENOENT/);
  });
});

describe('the command that starts it', () => {
  it('is there only where the file says so', () => {
    const folder = state();
    expect(centreCommand(meshOf('{}'), 'causeway.yaml', undefined, folder, ['cw'])).toBeUndefined();
    const command = centreCommand(meshOf('{ start: true }'), '/m/causeway.yaml', '127.5', folder, ['cw']);
    expect(command?.join(' ')).toBe(
      `cw --file /m/causeway.yaml --network 127.5 centre --address 127.0.0.1 --port 7070 --credentials ${folder.centre}/credentials.json --deployment ${folder.root}`,
    );
  });
});
