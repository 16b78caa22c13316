/** The agents of real Envoys and the healing centre: what three callers of one service learn of each other, and what a centre that has died, or lies, can do. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SyncRequest } from '../../harness/centre/api.ts';
import { OperatorClient } from '../../harness/centre/client.ts';
import { isolate, isolationStatus, release } from '../../harness/commands/isolate.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { type CallerName, HealStage, TARGET } from '../../harness/heal/stage.ts';
import { found, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import { bundle } from '../../tools/bundle.ts';
import { commanded } from '../support/command.ts';
import { ROOT, temporaryState } from './support.ts';

const RATE = 60;
let stage: HealStage;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const app = join(ROOT, 'build/heal.mjs');
  await bundle('heal', app);
  const { state, remove } = await temporaryState();
  ends.push(remove);
  stage = await HealStage.open({
    state,
    network: '127.67',
    isolation: true,
    envoy: (await resolveEnvoy()).path,
    wasmPath: join(ROOT, 'build/causeway.wasm'),
    app,
    cli: [process.execPath, '--import', 'tsx', join(ROOT, 'harness/cli/main.ts')],
  });
  ends.push(() => stage.close());
}, 120_000);

afterAll(async () => {
  while (ends.length > 0) await ends.pop()?.();
});

const listed = (caller: CallerName, reason: string) =>
  stage.sum(caller, new RegExp(`^outlier_blacklist_listed_total\\.service\\.target\\.reason\\.${reason}$`));
const synced = (caller: CallerName, result: string) =>
  stage.sum(caller, new RegExp(`^agent_centre_syncs_total\\.result\\.${result}$`));
const out = (caller: CallerName) => stage.sum(caller, /^outlier_blacklist_hosts_out\.service\.target$/);

async function until(
  what: string,
  value: () => Promise<number>,
  wanted: (value: number) => boolean,
  deadlineMs = 20_000,
) {
  await waitUntil(
    what,
    async () => {
      const now = await value();
      return wanted(now) ? found(undefined) : notYet(String(now));
    },
    { deadlineMs },
  );
}

/** Who answers a caller now. */
async function answering(caller: CallerName): Promise<string[]> {
  const load = stage.load(caller, 100);
  await load.goOn(400);
  await load.stop();
  return [...new Set(load.sent.map(({ instance }) => instance))].sort();
}

describe('an isolation by order of the centre', () => {
  const ID = 'target-base-2';
  const client = () => new OperatorClient(stage.centreSettings, readFileSync(tokenFile(), 'utf8').trim());
  const tokenFile = () => join(dirname(stage.file), 'centre/operator.token');

  /** Ms until an instance answers so. */
  async function answersSo(status: number): Promise<number> {
    const began = performance.now();
    await until(
      `status ${status}`,
      () => stage.straight(ID),
      (value) => value === status,
    );
    return performance.now() - began;
  }

  it('holds within 3 s of the answer, fails no request, survives SIGKILL of Envoy, and is released as fast', async () => {
    await stage.recover(ID);
    const load = stage.load('caller-b', RATE);
    ends.push(() => load.stop());
    const operator = client();
    ends.push(() => operator.close());
    const began = load.now();
    await operator.isolate({ instance: ID, isolated: true });
    const held = await answersSo(503);
    expect(held).toBeLessThan(3_000);
    await load.goOn(1_000);
    await stage.killProxy(ID);
    const statuses = new Set<number>();
    for (const end = performance.now() + 4_000; performance.now() < end; await realClock.sleep(50)) {
      statuses.add(await stage.straight(ID));
    }
    expect([...statuses], 'asked again after its start').toEqual([503]);
    expect(await operator.isolations()).toMatchObject([{ instance: ID, isolated: true, heard: true }]);
    await operator.isolate({ instance: ID, isolated: false });
    const released = await answersSo(200);
    expect(released).toBeLessThan(3_000);
    await load.stop();
    expect(load.failed(began)).toEqual([]);
    console.log(`by the centre: isolated after ${Math.round(held)} ms, released after ${Math.round(released)} ms`);
  });

  it('is a command, too', async () => {
    const options = { file: stage.file, state: '', network: '127.67', via: 'centre', token: tokenFile() };
    const isolated = await commanded((output) => isolate(ID, options, output));
    expect([isolated.code, isolated.err], isolated.out).toEqual([0, '']);
    expect(await stage.straight(ID)).toBe(503);
    expect((await commanded((output) => isolationStatus(options, output))).out).toMatch(
      new RegExp(`${ID} +operator +[^ ]+ +yes`),
    );
    expect((await commanded((output) => release(ID, options, output))).code).toBe(0);
    expect(await answersSo(200)).toBeLessThan(3_000);
    for (const [instance, words] of [
      ['target-base-1', /takes no orders from the centre/],
      ['target-base-9', /expected one of the mesh/],
    ] as const) {
      const refused = await commanded((output) => isolate(instance, options, output));
      expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(words)]);
    }
    const stranger = join(dirname(stage.file), 'stranger.token');
    for (const [text, words] of [
      ['token-of-a-stranger', /refuses \(401\): credential/],
      ['two words', /found no token in .*, expected one word/],
    ] as const) {
      writeFileSync(stranger, text);
      const denied = await commanded((output) => isolate(ID, { ...options, token: stranger }, output));
      expect([denied.code, denied.err]).toEqual([2, expect.stringMatching(words)]);
    }
    expect(await stage.straight(ID)).toBe(200);
  });
});

describe('two callers that see a host fail', () => {
  it('have it out for a third one that has never seen an error, by way of the centre', async () => {
    const third = stage.load('caller-c', RATE);
    ends.push(() => third.stop());
    await until(
      'a report of the third',
      () => synced('caller-c', 'ok'),
      (value) => value > 0,
    );
    const loads = (['caller-a', 'caller-b'] as const).map((name) => stage.load(name, RATE));
    ends.push(...loads.map((load) => () => load.stop()));
    await third.goOn(1_500);
    // The third has done with it for now: what the others meet it does not.
    await third.stop();
    await stage.behave('target-base-2');
    for (const name of ['caller-a', 'caller-b'] as const) {
      await until(
        `${name}: its own listing`,
        () => listed(name, 'errors'),
        (value) => value === 1,
      );
    }
    const began = performance.now();
    await until(
      'the centre’s word at the third',
      () => listed('caller-c', 'centre'),
      (value) => value === 1,
      15_000,
    );
    console.log(`the third caller heard ${Math.round(performance.now() - began)} ms after the second one’s listing`);
    expect(third.failed(0)).toEqual([]);
    expect(await listed('caller-c', 'errors')).toBe(0);
    expect(await answering('caller-c')).toEqual(['target-base-1', 'target-base-3']);
    for (const load of loads) await load.stop();
  });
});

describe('a centre that has died', () => {
  it('freezes nothing: its verdict ends by itself, local judgement goes on', async () => {
    process.kill(stage.centrePid() ?? 0, 'SIGKILL');
    await stage.recover('target-base-2');
    await until(
      'the end of the verdict',
      () => out('caller-c'),
      (value) => value === 0,
      45_000,
    );
    expect(await answering('caller-c')).toEqual(['target-base-1', 'target-base-2', 'target-base-3']);
    expect(await synced('caller-c', 'failed')).toBeGreaterThan(0);
  });
});

describe('a centre that lies', () => {
  let server: Server;
  let answer: (report: SyncRequest) => { status: number; body: string | Buffer };
  /** It wants every instance isolated, too. */
  let isolating = true;
  const seen = new Set<string | undefined>();

  beforeAll(async () => {
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        seen.add(request.headers.authorization);
        if (request.method === 'GET') {
          const order = { isolated: true, version: Date.now(), expiresInMs: 3_000 };
          response.writeHead(isolating ? 200 : 503).end(JSON.stringify(order));
          return;
        }
        const { status, body } = answer(JSON.parse(Buffer.concat(parts).toString()) as SyncRequest);
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(body);
      });
    });
    answer = () => ({ status: 503, body: '' });
    await new Promise<void>((resolve) => {
      server.listen(stage.centre.port, stage.centre.address, resolve);
    });
  });

  afterAll(() => {
    server?.closeAllConnections();
    server?.close();
  });

  it('cannot take a service down, nor keep anything for long', async () => {
    const hosts = stage.instances.map(({ address, ports }) => `${address}:${ports.inbound}`);
    answer = () => {
      const version = Date.now();
      const verdicts = hosts.map((host) => ({
        ...{ service: TARGET, host, verdict: 'quarantine', version, expiresInMs: 4_000, reason: '' },
      }));
      return { status: 200, body: JSON.stringify({ version, verdicts, refused: 0, nextMs: 1_000 }) };
    };
    await until(
      'one host out',
      () => out('caller-c'),
      (value) => value === 1,
      35_000,
    );
    await until(
      'what takes orders isolated',
      async () => (await Promise.all([2, 3].map((n) => stage.straight(`target-base-${n}`)))).indexOf(200),
      (value) => value < 0,
    );
    const load = stage.load('caller-c', RATE);
    await load.goOn(3_000);
    await load.stop();
    // The first calls may meet none but isolated ones at all their tries; their answers and the checks end that.
    expect(load.failed(1_000)).toEqual([]);
    expect(load.failed(0).length).toBeLessThan(RATE / 4);
    const served = load.between(1_000).map(({ instance }) => instance);
    expect([served.length > RATE, ...new Set(served)]).toEqual([true, 'target-base-1']);
    expect(await out('caller-c')).toBe(1);
    isolating = false;
    expect(await stage.sum('caller-c', /^outlier_blacklist_verdicts_spared$/)).toBe(2);
    // 40 MB is more than Envoy holds of an answer.
    answer = () => ({ status: 200, body: Buffer.alloc(40 << 20, ' ') });
    await until(
      'the end of all verdicts',
      () => out('caller-c'),
      (value) => value === 0,
    );
    const failed = await synced('caller-c', 'failed');
    await until(
      'an answer that is too long',
      () => synced('caller-c', 'failed'),
      (value) => value > failed,
    );
    answer = () => ({ status: 401, body: '{"error":"credential"}' });
    await until(
      'a refused credential',
      () => synced('caller-c', 'denied'),
      (value) => value > 0,
      35_000,
    );
    expect(await answering('caller-c')).toHaveLength(3);
  });
});

describe('credentials', () => {
  it('are one for each proxy, in files that nobody else can read, and in nothing else', () => {
    for (const id of ['caller-a-base-1', 'caller-c-base-1']) {
      const { secrets, files } = stage.node(id);
      const path = join(secrets ?? '', 'centre.json');
      expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const token = /"Bearer ([^"]+)"/.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
      expect(token).toHaveLength(43);
      for (const text of Object.values(files)) expect(text).not.toContain(token);
    }
  });

  it('are not in what Envoy’s admin shows', async () => {
    const { secrets, adminSocket } = stage.node('caller-a-base-1');
    const token = /"Bearer ([^"]+)"/.exec(readFileSync(join(secrets ?? '', 'centre.json'), 'utf8'))?.[1] ?? '?';
    const { EnvoyAdmin } = await import('../../harness/envoy/admin.ts');
    const { body } = await new EnvoyAdmin(adminSocket).get('/config_dump?include_eds');
    expect(body).toContain('credential_injector');
    expect(body).not.toContain(token);
  });
});
