import { describe, expect, test } from 'vitest';
import { type AssembleOptions, assemble } from '../support/assemble.ts';
import { EmulatedHost, Refusal } from './index.ts';

async function load(body: string, options: AssembleOptions = {}): Promise<EmulatedHost> {
  return new EmulatedHost(await assemble(body, options));
}

describe('a module that Envoy would not load, or would call in vain', () => {
  const refused: [what: string, body: string, options: AssembleOptions, message: RegExp][] = [
    [
      'imports a function that Envoy does not have',
      '@external("env", "seed") declare function seed(): f64; export function f(): f64 { return seed(); }',
      {},
      /unknown import: function env\.seed/,
    ],
    [
      'imports from a module that Envoy does not have',
      '@external("js", "proxy_log") declare function log(): i32; export function f(): i32 { return log(); }',
      {},
      /unknown import: function js\.proxy_log/,
    ],
    ['has no allocator', 'export function f(): void {}', { allocator: false }, /no export malloc/],
    ['says no ABI version', 'export function f(): void {}', { abi: false }, /no export proxy_abi_version_0_2_1/],
    [
      'misspells a callback',
      'export function proxy_on_reqest_headers(id: u32, n: u32, end: u32): i32 { return 0; }',
      {},
      /unknown callback: function proxy_on_reqest_headers/,
    ],
    [
      'has a callback with too few parameters',
      'export function proxy_on_request_headers(id: u32, n: u32): i32 { return 0; }',
      {},
      /proxy_on_request_headers takes 2 parameters, not 3/,
    ],
    [
      'calls the host in the start section',
      'proxy_log(2, 0, 0);',
      { startSection: true },
      /start section: proxy_log is called before there is any context/,
    ],
    [
      'calls the host in _initialize',
      'proxy_get_current_time_nanoseconds(8);',
      {},
      /_initialize: proxy_get_current_time_nanoseconds is not allowed there/,
    ],
    ['traps in _initialize', 'unreachable();', {}, /_initialize: .*unreachable/],
  ];

  test.each(refused)('%s', async (_what, body, options, message) => {
    const host = await load(body, options);
    expect(() => host.vm()).toThrow(Refusal);
    expect(() => host.vm()).toThrow(message);
  });

  test('a module may log in _initialize', async () => {
    const host = await load('proxy_log(2, 0, 0);');
    host.vm();
    expect(host.calls.count('proxy_log')).toBe(1);
  });
});
