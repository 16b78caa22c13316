/**
 * The agent against answers that no centre gives: mutated, cut, spliced and invented ones. It must outlive them, hold no verdict
 * that the rules forbid, and never leave a service with fewer hosts than the bounds say. CAUSEWAY_SCALE=1 is full size.
 */
import { readFile } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import { address, CentreEmulation } from '../support/centre-emulation.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scaled } from '../support/scale.ts';
import { Random } from './reference/random.ts';

const ROUNDS = 10_000;
const SEED = Number(process.env.CAUSEWAY_SEED ?? 1);
const HOSTS = 10;
/** Of ten, three may be out by the centre's word. */
const LEAST_LEFT = 7;

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

const PIECES = ['{', '}', '[', ']', '"', '\\', ':', ',', '\0', '1e308', '-1', 'NaN', '9'.repeat(40), 'true', 'null'];

function verdict(random: Random, version: number): object {
  const one = {
    service: 'reviews',
    host: address(random.between(1, HOSTS)),
    verdict: random.pick(['quarantine', 'quarantine', 'restart', 'ok']),
    version,
    expiresInMs: random.pick([30_000, 1_000, 60_000]),
    reason: random.pick(['', '"\\"', 'é', 'x'.repeat(200)]),
  };
  return random.chance(0.8) ? one : { ...one, ...random.pick(LIES) };
}

const LIES: readonly object[] = [
  ...['payments', '', 'r'.repeat(500), null].map((service) => ({ service })),
  ...['', '::1', 'x:80', '10.9.8.7:80', '1'.repeat(5_000), 7].map((host) => ({ host })),
  ...['kill', '', 'okay'].map((verdict) => ({ verdict })),
  ...[0, 1, -1, 2 ** 53 - 1, 2 ** 53, 1.5, '7'].map((version) => ({ version })),
  ...[0, 60_001, 1e12, -5, 1e300].map((expiresInMs) => ({ expiresInMs })),
];

function answer(random: Random, mesh: CentreEmulation): string {
  const version = mesh.version + 1;
  const few = random.chance(0.8);
  const verdicts = Array.from({ length: random.below(few ? 4 : 600) }, () => verdict(random, version));
  const text = mesh.answer(verdicts, { nextMs: random.pick([500, 2_000, 0, 60_000, random.chance(0.1) ? -1 : 1e15]) });
  if (random.chance(0.5)) return Buffer.from(text).toString('latin1');
  let result = Buffer.from(text).toString('latin1');
  for (let i = random.between(1, 5); i > 0; i--) {
    const at = random.below(result.length + 1);
    const until = Math.min(result.length, at + random.below(1 << random.below(10)));
    const piece = random.pick(PIECES).repeat(random.between(1, 30));
    result = random.pick([
      result.slice(0, at),
      result.slice(0, at) + result.slice(until),
      result.slice(0, until) + result.slice(at),
      result.slice(0, at) + piece + result.slice(at),
      result.slice(0, at) + String.fromCharCode(random.below(256)) + result.slice(at + 1),
    ]);
  }
  return result;
}

it(`outlives ${scaled(ROUNDS)} bad answers, within the bounds`, { timeout: 1_800_000 }, () => {
  const mesh = new CentreEmulation(module, [{ name: 'reviews', hosts: HOSTS }]);
  const before = mesh.agent.instance.memory.size;
  let taken = 0;
  let held = 0;
  for (let i = 0; i < scaled(ROUNDS); i++) {
    const random = new Random(SEED * 1_000_003 + i);
    if (random.chance(0.01)) mesh.host.clock.jump((random.below(3) - 1) * random.below(1e8));
    mesh.version = Math.max(mesh.version, mesh.host.clock.ms);
    let asked = false;
    // The longest pause between two reports is a bit more than a minute.
    for (let second = 0; second < 70 && !asked; second++) {
      mesh.pass(1, (call) => {
        asked = true;
        const fate = random.below(20);
        if (fate === 0) return call.fail();
        if (fate === 1) return call.timeOut();
        const status = random.pick(['200', '200', '200', '200', '200', '200', '200', '503', '', 'x']);
        call.respond({ headers: [[':status', status]], body: answer(random, mesh) });
        taken++;
      });
    }
    const explain = `seed ${SEED}, round ${i}`;
    expect([mesh.agent.failure, mesh.worker.failure], explain).toEqual([undefined, undefined]);
    if (i % 4 !== 0) continue;
    const left = mesh.allowed('reviews', HOSTS).length;
    expect(left, explain).toBeGreaterThanOrEqual(LEAST_LEFT);
    if (left < HOSTS) held++;
  }
  // Were all of one kind, survival would say little.
  expect(taken).toBeGreaterThan(scaled(ROUNDS) / 2);
  expect(held).toBeGreaterThan(scaled(ROUNDS) / 100);
  expect(mesh.agent.instance.memory.size - before).toBeLessThanOrEqual(1 << 20);
  // And then nobody speaks any more.
  mesh.pass(120, (call) => call.fail());
  expect(mesh.allowed('reviews', HOSTS)).toHaveLength(HOSTS);
});
