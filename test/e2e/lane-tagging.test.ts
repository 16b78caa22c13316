/** The shipped example on stock Envoy: what its comments promise, and who is believed on a real connection. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type Envoy, startEnvoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const EXAMPLE = join(import.meta.dirname, '../../envoy-configs/examples/lane-tagging.yaml');
/** Addresses of this file alone, so that it can run beside every other test. */
const PLAIN = '127.0.77.1';
const MUTUAL_TLS = '127.0.77.2';
const BELIEVING_FORWARDED = '127.0.77.3';
const PORT = 15080;
const TAG = 'x-asm-traffic-lane';
const SPIFFE = 'spiffe://mesh/ns/default/sa/front';

interface FilterChain {
  filters: {
    typed_config: { use_remote_address: boolean; http_filters: { typed_config: { config: WasmConfig } }[] };
  }[];
  transport_socket?: unknown;
}
interface WasmConfig {
  configuration: { value: Record<string, unknown> };
  vm_config: { code: { local: { filename: string } } };
}
interface Listener {
  name: string;
  address: { socket_address: { address: string; port_value: number } };
  filter_chains: FilterChain[];
}
interface Bootstrap {
  admin: { address: { pipe: { path: string } } };
  static_resources: { listeners: Listener[] };
}

let folder: string;
let envoy: Envoy;

async function openssl(...args: string[]): Promise<void> {
  await promisify(execFile)('openssl', args, { cwd: folder, timeout: 30_000 });
}

/** A self-signed certificate; it is its own authority, so both sides simply trust the files they are given. */
async function certificate(name: string, ...extensions: string[]): Promise<void> {
  const also = extensions.flatMap((extension) => ['-addext', extension]);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
  await openssl('req', '-x509', ...key, '-out', `${name}.crt`, '-days', '2', '-subj', `/CN=${name}`, ...also);
}

/** The example's listener on another address, changed. */
function variant(listener: Listener, name: string, address: string, change: (chain: FilterChain) => void): Listener {
  const copy = structuredClone(listener);
  copy.name = name;
  copy.address.socket_address = { address, port_value: PORT };
  for (const chain of copy.filter_chains) change(chain);
  return copy;
}

function settings(chain: FilterChain): WasmConfig {
  const wasm = chain.filters[0]?.typed_config.http_filters[0]?.typed_config.config;
  if (wasm === undefined) throw new Error(`${EXAMPLE}: found no wasm filter first in its chain`);
  return wasm;
}

async function bootstrap(): Promise<Bootstrap> {
  const config = parse(await readFile(EXAMPLE, 'utf8')) as Bootstrap;
  const [example] = config.static_resources.listeners;
  if (example === undefined) throw new Error(`${EXAMPLE}: found no listener`);
  const module = await compilePlugin('filters/suite.ts');
  const plain = variant(example, 'plain', PLAIN, (chain) => {
    settings(chain).vm_config.code.local.filename = module;
  });
  const trusted = `${await readFile(join(folder, 'uri.crt'), 'utf8')}${await readFile(join(folder, 'subject.crt'), 'utf8')}`;
  const tls = variant(plain, 'tls', MUTUAL_TLS, (chain) => {
    settings(chain).configuration.value = { trust: { identities: [SPIFFE, 'CN=subject'] } };
    chain.transport_socket = {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
        require_client_certificate: true,
        common_tls_context: {
          tls_certificates: [
            {
              certificate_chain: { filename: join(folder, 'server.crt') },
              private_key: { filename: join(folder, 'server.key') },
            },
          ],
          validation_context: { trusted_ca: { inline_string: trusted } },
        },
      },
    };
  });
  const forwarded = variant(plain, 'forwarded', BELIEVING_FORWARDED, (chain) => {
    for (const { typed_config } of chain.filters) typed_config.use_remote_address = false;
  });
  config.static_resources.listeners = [plain, tls, forwarded];
  config.admin.address.pipe.path = join(folder, 'admin.sock');
  return config;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lane-tagging-'));
  await certificate('server');
  await certificate('uri', `subjectAltName=URI:${SPIFFE}`);
  await certificate('subject');
  const config = join(folder, 'envoy.yaml');
  await writeFile(config, JSON.stringify(await bootstrap()));
  envoy = await startEnvoy({
    name: 'lane-tagging',
    binary: (await resolveEnvoy()).path,
    config,
    adminSocket: join(folder, 'admin.sock'),
    logPath: join(folder, 'envoy.log'),
  });
}, 120_000);

afterAll(async () => {
  await envoy?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The tag that goes upstream, which the example puts into the answer. */
function sentTag(headers: [string, string][], options: RequestOptions = {}): Promise<string | undefined> {
  const start = options.key === undefined ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const message = start({
      host: PLAIN,
      port: PORT,
      headers: [['host', 'example.test'], ...headers].flat() as unknown as Record<string, string>,
      agent: false,
      timeout: 10_000,
      ...options,
    });
    message.on('timeout', () => message.destroy(new Error('no answer within 10 s')));
    message.on('error', reject);
    message.on('response', (response) => {
      response.resume();
      const tag = response.headers['x-sent-tag'];
      response.on('end', () => resolve(tag === undefined ? undefined : String(tag)));
    });
    message.end();
  });
}

describe('the example on stock Envoy', () => {
  it('tags by header, cookie, path with query, and expression', async () => {
    expect(await sentTag([['end-user', 'dev2']])).toBe('dev2');
    expect(await sentTag([['cookie', 'a=b; lane=dev1']])).toBe('dev1');
    expect(await sentTag([], { path: '/productpage?preview=1' })).toBe('preview');
    expect(await sentTag([['user-agent', 'probe/2.14']])).toBe('probes');
  });

  it('tags about one trace in ten', async () => {
    let canary = 0;
    for (let i = 0; i < 400; i++) {
      const tag = await sentTag([]);
      expect(['canary', undefined]).toContain(tag);
      if (tag === 'canary') canary++;
    }
    // Envoy chooses the ids: more than six standard deviations either way.
    expect(canary).toBeGreaterThan(4);
    expect(canary).toBeLessThan(80);
  });

  it('believes a tag of the front gateway only, by its address', async () => {
    const tagged: [string, string][] = [
      [TAG, 'dev9'],
      ['end-user', 'dev2'],
    ];
    expect(await sentTag(tagged)).toBe('dev2');
    expect(await sentTag([...tagged, ['x-forwarded-for', '127.0.0.9']])).toBe('dev2');
    expect(await sentTag(tagged, { localAddress: '127.0.0.9' })).toBe('dev9');
  });

  it('refuses two tags, also of the front gateway', async () => {
    const twice: [string, string][] = [
      [TAG, 'dev9'],
      [TAG, 'dev8'],
      ['end-user', 'dev2'],
    ];
    expect(await sentTag(twice, { localAddress: '127.0.0.9' })).toBe('dev2');
  });

  it('shows what README.md warns of: without use_remote_address the address is who the client says', async () => {
    const forged: [string, string][] = [
      [TAG, 'dev9'],
      ['x-forwarded-for', '127.0.0.9'],
    ];
    expect(await sentTag(forged, { host: BELIEVING_FORWARDED })).toBe('dev9');
  });

  it('counts what it has done', async () => {
    await waitUntil(
      'counters of this file',
      async () => {
        const stats = await envoy.admin.stats('causeway_lane_tagging');
        const value = (name: string): number => stats.get(`wasmcustom.causeway_lane_tagging_${name}`) ?? 0;
        const counted =
          value('tagged_total.rule.dev2-user.lane.dev2') >= 3 &&
          value('tagged_total.rule.probes.lane.probes') >= 1 &&
          value('refused_total.reason.duplicate') >= 1 &&
          value('untrusted_removed_total') >= 2 &&
          value('kept_total') >= 1;
        return counted ? found(undefined) : notYet([...stats].map(([name, count]) => `${name} ${count}`).join(', '));
      },
      { deadlineMs: 10_000 },
    );
  });
});

describe('an identity on stock Envoy', () => {
  async function tls(name: string): Promise<RequestOptions> {
    const key = await readFile(join(folder, `${name}.key`));
    const cert = await readFile(join(folder, `${name}.crt`));
    return { host: MUTUAL_TLS, key, cert, rejectUnauthorized: false };
  }

  it('is the first URI name of the certificate', async () => {
    expect(await sentTag([[TAG, 'dev9']], await tls('uri'))).toBe('dev9');
  });

  it('is the subject where there is no URI name', async () => {
    expect(await sentTag([[TAG, 'dev9']], await tls('subject'))).toBe('dev9');
  });

  it('is nobody without a certificate that Envoy verifies', async () => {
    await expect(sentTag([[TAG, 'dev9']], await tls('server'))).rejects.toThrow();
  });
});
