/** `causeway isolate --via centre` without a proxy: what an operator is told when something is missing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Centre } from '../../harness/centre/centre.ts';
import { Credentials, sha256 } from '../../harness/centre/credentials.ts';
import { CentreServer } from '../../harness/centre/server.ts';
import { MemoryStore } from '../../harness/centre/store.ts';
import { instancesOf } from '../../harness/commands/centre.ts';
import { type IsolateOptions, isolate, release } from '../../harness/commands/isolate.ts';
import { loadMesh } from '../../harness/config/load.ts';
import { commanded } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';

const TOKEN = 'operator-token-0123456789';
const dir = mkdtempSync(join(tmpdir(), 'cw-via-'));
let server: CentreServer;

function write(name: string, top: string): string {
  const file = join(dir, name);
  const rest =
    'gateways: [{ name: gateway, routes: [{ prefix: /, service: web }] }]\nservices: { web: { calls: [], command: [x], instances: { base: { replicas: 2 } } } }\n';
  writeFileSync(file, `mesh: via\n${top}\n${rest}`);
  return file;
}

const options = (file: string, more: Partial<IsolateOptions> = {}): IsolateOptions => ({
  file,
  state: join(dir, 'state'),
  via: 'centre',
  token: join(dir, 'token'),
  ...more,
});

let file = '';

beforeAll(async () => {
  const port = await freePort();
  file = write('causeway.yaml', `centre: { address: 127.0.0.1:${port} }\nisolation: {}`);
  writeFileSync(join(dir, 'token'), `${TOKEN}\n`);
  const centre = new Centre({
    store: new MemoryStore(),
    instances: instancesOf(loadMesh(file)),
    recovery: { apply: false },
    id: 'one',
    probe: async () => true,
  });
  const credentials = new Credentials([{ identity: 'ops', role: 'operator', tokenSha256: sha256(TOKEN) }]);
  server = await CentreServer.start({ centre, credentials, address: '127.0.0.1', port, version: '1' });
});

afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

it.each<[string, Partial<IsolateOptions> & { top?: string }, RegExp]>([
  ['no centre in the file', { top: 'isolation: {}' }, /found no `centre` with `isolation`/],
  ['a matcher', { header: 'end-user=mallory' }, /all traffic off an instance, without matchers/],
  [
    'no file of a token',
    { token: '/nowhere/token' },
    /found no file \/nowhere\/token, expected one with the operator's token/,
  ],
])('%s: exit status 2', async (_what, { top, ...more }, words) => {
  const where = top === undefined ? file : write('other.yaml', top);
  const { code, err } = await commanded((output) => isolate('web-base-2', options(where, more), output));
  expect([code, err]).toEqual([2, expect.stringMatching(words)]);
});

it('a proxy that does not ask: the order waits for it, exit status 1', async () => {
  const before = process.exitCode;
  const { out } = await commanded((output) => isolate('web-base-2', options(file), output));
  const code = process.exitCode;
  process.exitCode = before;
  expect([code, out]).toEqual([
    1,
    expect.stringMatching(/has the order .* but its proxy has not asked for it within 3 s/),
  ]);
});

it('no centre at its address: exit status 1, and which address', async () => {
  const other = write('gone.yaml', `centre: { address: 127.0.0.1:${await freePort()} }\nisolation: {}`);
  const { code, err } = await commanded((output) => release('web-base-2', options(other), output));
  expect([code, err]).toEqual([1, expect.stringMatching(/127\.0\.0\.1:\d+: the healing centre does not answer/)]);
});
