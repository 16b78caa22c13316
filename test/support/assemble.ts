import asc from 'assemblyscript/asc';

const DECLARATIONS: Readonly<Record<string, string>> = {
  proxy_log: '(level: i32, p: usize, n: usize): i32',
  proxy_get_header_map_value: '(map: i32, k: usize, kn: usize, at: usize, size: usize): i32',
  proxy_add_header_map_value: '(map: i32, k: usize, kn: usize, v: usize, vn: usize): i32',
  proxy_set_header_map_pairs: '(map: i32, p: usize, n: usize): i32',
  proxy_get_buffer_bytes: '(type: i32, start: i32, length: i32, at: usize, size: usize): i32',
  proxy_set_buffer_bytes: '(type: i32, start: i32, length: i32, p: usize, n: usize): i32',
  proxy_get_current_time_nanoseconds: '(at: usize): i32',
  proxy_set_effective_context: '(id: u32): i32',
  proxy_continue_stream: '(type: i32): i32',
  proxy_send_local_response:
    '(status: u32, d: usize, dn: usize, b: usize, bn: usize, h: usize, hn: usize, grpc: i32): i32',
  proxy_http_call:
    '(c: usize, cn: usize, h: usize, hn: usize, b: usize, bn: usize, t: usize, tn: usize, ms: u32, at: usize): i32',
};

/** What every module needs so that the host loads it; `static text(…)` data ends with NUL. */
const FRAME = `
export function proxy_abi_version_0_2_1(): void {}
`;
const ALLOCATOR = `
export function malloc(size: usize): usize { return heap.alloc(size); }
`;

export interface AssembleOptions {
  /** Leave out `malloc`, for a module that brings its own or has none. */
  readonly allocator?: boolean;
  /** Leave out the ABI version. */
  readonly abi?: boolean;
  /** Run top-level code in the start section instead of `_initialize`. */
  readonly startSection?: boolean;
}

/**
 * Compiles AssemblyScript without the SDK: for small modules that break a rule on purpose. Host functions of the ABI can
 * be used by their names.
 * @throws Error with the compiler's messages
 */
export async function assemble(body: string, options: AssembleOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const used = Object.entries(DECLARATIONS).filter(([name]) => body.includes(`${name}(`));
  const source = [
    ...used.map(([name, signature]) => `@external("env", "${name}") declare function ${name}${signature};`),
    options.abi === false ? '' : FRAME,
    options.allocator === false ? '' : ALLOCATOR,
    body,
  ].join('\n');
  const { error, stderr, binary } = await asc.compileString(source, {
    runtime: 'stub',
    optimizeLevel: 1,
    // Without an exported abort the module would import one.
    use: ['abort='],
    ...(options.startSection ? {} : { exportStart: '_initialize' }),
  });
  if (error !== null || binary === null) throw new Error(`${error}\n${stderr}`);
  return new Uint8Array(binary);
}
