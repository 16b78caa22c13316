import { afterEach, expect, it, vi } from 'vitest';
import { notInstalled, skipWithout } from '../support/required.ts';

/** A skip of what a run requires is a failure, so that CI cannot pass by leaving tests out. */

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

it('fails where something required is missing, and names it', () => {
  vi.stubEnv('CAUSEWAY_REQUIRE', 'docker, nats');
  expect(() => skipWithout('nats', 'no nats-server')).toThrow('CAUSEWAY_REQUIRE names nats, but: no nats-server');
  expect(skipWithout('nats', null)).toBeNull();
});

it('skips aloud where nobody requires it', () => {
  vi.stubEnv('CAUSEWAY_REQUIRE', 'docker');
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  expect(skipWithout('nats', 'no nats-server')).toBe('no nats-server');
  expect(warned.mock.calls.flat().join()).toContain('SKIPPED');
});

it('knows a program that runs from one that does not', () => {
  expect(notInstalled([process.execPath, '--version'], 'install Node')).toBeNull();
  expect(notInstalled(['no-such-program'], 'install it')).toBe('no-such-program does not run; install it');
});
