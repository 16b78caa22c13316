import { describe, expect, test } from 'vitest';
import { assemble } from '../support/assemble.ts';
import { EmulatedHost, type HostOptions, Refusal, Status, type Vm } from './index.ts';

/** One rule broken per number; `last` keeps the status that the host gave. */
const ROGUE = `
let mode: i32 = 0;
export let last: i32 = -1;
export function choose(n: i32): void { mode = n; last = -1; }
const OUT: usize = heap.alloc(16);
const FAR: usize = 0x7fffff00;
function text(s: string): usize { return changetype<usize>(String.UTF8.encode(s, true)); }
function misbehave(n: i32): void {
  if (n == 1) last = proxy_log(2, FAR, 4);
  if (n == 2) last = proxy_get_header_map_value(0, text(':path'), 5, FAR, FAR);
  if (n == 3) last = proxy_get_header_map_value(2, text(':status'), 7, OUT, OUT + 4);
  if (n == 4) last = proxy_add_header_map_value(2, text('a'), 1, text('b'), 1);
  if (n == 5) last = proxy_add_header_map_value(0, text('a'), 1, text('b\\r\\nc: d'), 7);
  if (n == 6) last = proxy_get_header_map_value(9, text('a'), 1, OUT, OUT + 4);
  if (n == 7) last = proxy_set_effective_context(999);
  if (n == 8) last = proxy_get_buffer_bytes(7, 0, 10, OUT, OUT + 4);
  if (n == 9) last = proxy_continue_stream(2);
  if (n == 10) last = proxy_send_local_response(0, 0, 0, 0, 0, 0, 0, -1);
  if (n == 11) last = proxy_set_header_map_pairs(0, text('\\x01'), 1);
  if (n == 12) last = proxy_http_call(text('web'), 3, OUT, 0, OUT, 0, OUT, 0, 100, OUT);
  if (n == 13) last = proxy_log(9, OUT, 0);
  if (n == 14) last = proxy_get_buffer_bytes(0, 0, 10, OUT, OUT + 4);
  if (n == 15) last = proxy_add_header_map_value(0, OUT, 0, OUT, 0);
  if (n == 16) last = proxy_set_buffer_bytes(0, 1, 1, OUT, 0);
}
export function proxy_on_request_headers(id: u32, n: u32, end: u32): i32 {
  misbehave(mode);
  return mode == 77 ? 77 : 0;
}
export function proxy_on_request_body(id: u32, n: u32, end: u32): i32 {
  if (mode == 100) last = proxy_get_header_map_value(0, text(':path'), 5, OUT, OUT + 4);
  if (mode == 101) misbehave(16);
  return 0;
}
export function proxy_on_log(id: u32): void {
  if (mode == 102) last = proxy_add_header_map_value(0, text('a'), 1, text('b'), 1);
  if (mode == 103) last = proxy_get_header_map_value(3, text('a'), 1, OUT, OUT + 4);
}
export function proxy_on_tick(id: u32): void {
  if (mode == 104) last = proxy_send_local_response(200, 0, 0, 0, 0, 0, 0, -1);
}
`;
const code = assemble(ROGUE);

async function rogue(mode: number, options: HostOptions): Promise<Vm> {
  const vm = new EmulatedHost(await code, options).vm();
  vm.instance.invoke('choose', mode);
  return vm;
}

function request(vm: Vm): void {
  const stream = vm.httpStream();
  stream.requestHeaders({ endOfStream: false });
  if (!stream.over) stream.requestBody('body');
  stream.end();
}

const RULES: [what: string, mode: number, refusal: RegExp, statusOfEnvoy: Status][] = [
  ['reads outside memory', 1, /read of 4 bytes at 0x7fffff00: outside memory/, Status.InvalidMemoryAccess],
  ['wants a result outside memory', 2, /write of 4 bytes at 0x7fffff00: outside/, Status.InvalidMemoryAccess],
  ['reads response headers in the request phase', 3, /no ResponseHeaders in this phase/, Status.BadArgument],
  ['adds a response header in the request phase', 4, /no ResponseHeaders to change/, Status.BadArgument],
  ['adds a header with a line break', 5, /header value with a control byte/, Status.Ok],
  ['names a map that does not exist', 6, /no such number: 9/, Status.BadArgument],
  ['takes the effective context of nobody', 7, /no context 999 in this VM/, Status.BadArgument],
  ['reads its configuration during a request', 8, /no PluginConfiguration in this phase/, Status.NotFound],
  ['continues a TCP stream that an HTTP stream is not', 9, /has no such stream/, Status.Ok],
  ['answers with status 0', 10, /not a status that a response can have: 0/, Status.Ok],
  ['sets headers from bytes that are no pairs', 11, /not of the ABI’s layout/, Status.Ok],
  ['calls out without method, path and authority', 12, /no :method, :path, :authority/, Status.BadArgument],
  ['logs at a level that does not exist', 13, /no such number: 9/, Status.BadArgument],
  ['reads the body in the headers phase', 14, /no HttpRequestBody in this phase/, Status.NotFound],
  ['adds a header without a name', 15, /empty name/, Status.Ok],
  ['reads request headers in the body phase', 100, /no RequestHeaders in this phase/, Status.BadArgument],
  ['replaces the middle of a body', 101, /replaces a whole buffer only/, Status.BadArgument],
  ['changes a header at log time', 102, /no RequestHeaders to change/, Status.BadArgument],
];

describe('a guest that breaks a rule', () => {
  test.each(RULES)('%s: refused when strict', async (_what, mode, refusal) => {
    const vm = await rogue(mode, {});
    expect(() => request(vm)).toThrow(Refusal);
    const again = await rogue(mode, {});
    expect(() => request(again)).toThrow(refusal);
  });

  test.each(RULES)('%s: gets the status of Envoy when lenient', async (_what, mode, _refusal, status) => {
    const vm = await rogue(mode, { strict: false });
    request(vm);
    expect(vm.instance.global('last')).toBe(status);
  });

  test('an action that does not exist', async () => {
    const vm = await rogue(77, {});
    expect(() => request(vm)).toThrow(/proxy_on_request_headers of context 2 returned 77: not an action/);
  });

  test('an answer from a root context', async () => {
    const vm = await rogue(104, {});
    expect(() => vm.root.tick()).toThrow(/root context has no stream to answer/);
  });

  test('a map that is missing at log time is only "not found"', async () => {
    const vm = await rogue(103, {});
    request(vm);
    expect(vm.instance.global('last')).toBe(Status.NotFound);
  });
});

describe('an allocator that misbehaves', () => {
  const CALLBACK = `
    const OUT: usize = heap.alloc(8);
    export let last: i32 = -1;
    export function proxy_on_request_headers(id: u32, n: u32, end: u32): i32 {
      last = proxy_get_header_map_value(0, changetype<usize>(String.UTF8.encode(':path')), 5, OUT, OUT + 4);
      return 0;
    }`;
  const bad: [what: string, allocator: string, refusal: RegExp][] = [
    ['gives null', 'export function malloc(size: usize): usize { return 0; }', /allocator gave null for 1 bytes/],
    ['gives an address outside', 'export function malloc(size: usize): usize { return 0x7ffffff0; }', /outside memory/],
    [
      'calls the host',
      'export function malloc(size: usize): usize { proxy_get_current_time_nanoseconds(8); return 64; }',
      /malloc: proxy_get_current_time_nanoseconds is not allowed there/,
    ],
  ];
  test.each(bad)('%s', async (_what, allocator, refusal) => {
    const vm = new EmulatedHost(await assemble(allocator + CALLBACK, { allocator: false })).vm();
    expect(() => request(vm)).toThrow(refusal);
  });

  test('a trap in the allocator fails the VM', async () => {
    const allocator = 'export function malloc(size: usize): usize { unreachable(); return 0; }';
    const vm = new EmulatedHost(await assemble(allocator + CALLBACK, { allocator: false })).vm();
    const stream = vm.httpStream();
    stream.requestHeaders();
    expect(stream.clientResponse?.details).toBe('wasm_fail_stream');
    expect(vm.failure).toMatch(/unreachable/);
  });
});
