/**
 * The agent against answers that no admin gives: mutated, cut, spliced and invented ones. A singleton that traps is never
 * restarted, so nothing may; and what it publishes must stay readable. CAUSEWAY_SCALE=1 is full size.
 */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type Vm } from '../emulator/index.ts';
import { type AdminHost, clustersAnswer, pressureAnswer } from '../support/admin-answers.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scaled } from '../support/scale.ts';
import { Random } from './reference/random.ts';

const CASES = 40_000;
const SEED = Number(process.env.CAUSEWAY_SEED ?? 1);
const MAX_MEMORY = 256 * 65_536;

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('test/plugins/agent-reader.ts')));
}, 300_000);

const PIECES = ['{', '}', '[', ']', '"', '\\', ':', ',', '\0', '1e308', '-1', 'NaN', '9'.repeat(40), 'true', 'null'];

function hosts(random: Random): AdminHost[] {
  return Array.from({ length: random.below(6) }, () => ({
    address: random.pick(['127.0.0.1', '::1', 'fe80::1%eth0', '', 'x'.repeat(random.below(400))]),
    port: random.pick([80, 0, -1, 65_536, 1e20, 1.5]),
    weight: random.pick([1, 0, 128, -5, 2 ** 53]),
    stats: { rq_total: random.pick([0, 7, 2 ** 60, 1e300]), rq_error: random.below(1e9) },
    health: { [random.pick(['failed_active_health_check', 'failed_outlier_check', 'odd'])]: true },
    ...(random.chance(0.1) ? { path: '/run/x.sock' } : {}),
  }));
}

function garbage(random: Random, size: number): string {
  return Array.from({ length: size }, () => String.fromCharCode(random.below(256))).join('');
}

function mutated(text: string, random: Random): string {
  let result = text;
  for (let i = random.between(1, 6); i > 0; i--) {
    const at = random.below(result.length + 1);
    const until = Math.min(result.length, at + random.below(1 << random.below(10)));
    switch (random.below(6)) {
      case 0:
        result = result.slice(0, at) + garbage(random, 1) + result.slice(at + 1);
        break;
      case 1:
        result = result.slice(0, at) + result.slice(until);
        break;
      case 2:
        result = result.slice(0, until) + result.slice(at);
        break;
      case 3:
        result = result.slice(0, at) + random.pick(PIECES).repeat(random.between(1, 40)) + result.slice(at);
        break;
      case 4:
        result = result.slice(0, at);
        break;
      default:
        result = result.slice(0, at) + garbage(random, random.below(300)) + result.slice(at);
    }
  }
  return result;
}

function answer(random: Random, about: string): string {
  if (about.startsWith('/stats')) {
    const sane = pressureAnswer(random.below(120));
    return random.chance(0.3) ? sane : random.chance(0.5) ? mutated(sane, random) : garbage(random, random.below(1500));
  }
  const sane = clustersAnswer(about.includes('second') ? 'second' : 'first', hosts(random));
  if (random.chance(0.2)) return sane;
  return random.chance(0.8) ? mutated(sane, random) : garbage(random, random.below(5_000));
}

function answerAll(agent: Vm, random: Random): void {
  for (let again = true; again; ) {
    again = false;
    for (const call of agent.root.httpCalls) {
      if (!call.pending) continue;
      again = true;
      const fate = random.below(20);
      if (fate === 0) call.fail();
      else if (fate === 1) call.timeOut();
      else {
        const status = random.pick(['200', '200', '200', '200', '503', '', 'x', '99999999999999999999']);
        call.respond({ headers: [[':status', status]], body: answer(random, call.headers.get(':path') ?? '') });
      }
    }
  }
  agent.root.httpCalls.length = 0;
}

describe('the agent', () => {
  it(`outlives ${scaled(CASES)} rounds of bad answers, and publishes what can be read`, { timeout: 900_000 }, () => {
    const host = new EmulatedHost(module, { record: false });
    const reader = host.vm({ rootId: 'reader', vmConfiguration: 'outbound', configuration: 'first\nsecond' });
    const agent = host.vm({ rootId: 'agent', vmConfiguration: 'agent', configuration: {} });
    let listed = 0;
    let unlisted = 0;
    for (let i = 0; i < scaled(CASES); i++) {
      const random = new Random(SEED * 1_000_003 + i);
      if (random.chance(0.01)) host.clock.jump((random.below(3) - 1) * random.below(1e9));
      host.clock.advance(1000);
      answerAll(agent, random);
      const explain = `seed ${SEED}, case ${i}`;
      expect(agent.failure, explain).toBeUndefined();
      reader.root.tick();
      const shown = reader.exchange({}).requestHeaderMap;
      expect(reader.failure, explain).toBeUndefined();
      const pressure = Number(shown.get('x-pressure'));
      expect(pressure >= -1 && pressure <= 1000, `${explain}: pressure ${pressure}`).toBe(true);
      if (/=\d/.test(shown.get('x-hosts') ?? '')) listed++;
      else unlisted++;
    }
    // Were nearly all of one kind, survival would say little.
    expect(listed).toBeGreaterThan(scaled(CASES) / 10);
    expect(unlisted).toBeGreaterThan(scaled(CASES) / 50);
    expect(agent.instance.memory.size).toBeLessThan(MAX_MEMORY / 4);
  });

  it('readers outlive a blob that somebody else has written', { timeout: 300_000 }, () => {
    // The reader shows what it reads in headers, which no bytes of this kind may go into.
    const host = new EmulatedHost(module, { record: false, strict: false });
    const reader = host.vm({ rootId: 'reader', vmConfiguration: 'outbound', configuration: 'first\nsecond' });
    const agent = host.vm({ rootId: 'agent', vmConfiguration: 'agent', configuration: {} });
    host.clock.advance(1000);
    for (const call of agent.root.httpCalls) {
      const path = call.headers.get(':path') ?? '';
      const body = path.startsWith('/stats') ? pressureAnswer(1) : clustersAnswer('first', [{}, {}, {}]);
      call.respond({ headers: [[':status', '200']], body });
    }
    for (const call of agent.root.httpCalls) if (call.pending) call.fail();
    const blob = host.sharedData.get('causeway', 'v1/agent/hosts')?.value ?? '';
    const state = host.sharedData.get('causeway', 'v1/agent/state')?.value ?? '';
    expect([blob.length > 100, state.length]).toEqual([true, 32]);
    for (let i = 0; i < scaled(CASES); i++) {
      const random = new Random(SEED * 1_000_033 + i);
      const bytes = Buffer.from(random.chance(0.8) ? blob : garbage(random, random.below(400)), 'latin1');
      for (let n = random.between(1, 8); n > 0 && bytes.length > 0; n--)
        bytes[random.below(bytes.length)] = random.below(256);
      const cut = random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
      host.sharedData.set('causeway', 'v1/agent/hosts', cut.toString('latin1'), 0);
      const version = Buffer.from(state, 'latin1');
      version.writeUInt32LE(i + 10, 4);
      host.sharedData.set('causeway', 'v1/agent/state', version.toString('latin1'), 0);
      reader.root.tick();
      reader.exchange({});
      expect(reader.failure, `seed ${SEED}, case ${i}`).toBeUndefined();
    }
  });
});
