import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compilePlugin } from '../support/compile-plugin.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Absolute paths of the modules that are compared. */
export interface Modules {
  /** The shipped module. */
  suite: string;
  /** The floor. */
  empty: string;
  /** The same trace-propagation job with the Rust SDK; null without a Rust toolchain. */
  rust: string | null;
}

/** Finds the shipped module, compiles the floor and, where there is a toolchain, the Rust peer. */
export async function prepareModules(progress: (line: string) => void): Promise<Modules> {
  const suite = join(ROOT, 'build/causeway.wasm');
  if (!existsSync(suite)) throw new Error('build/causeway.wasm: not there; run `make build` first');
  const empty = await compilePlugin('test/plugins/empty.ts');
  progress('Rust peer: cargo build (half a minute the first time)');
  const args = ['build', '--release', '--locked', '--quiet', '--target', 'wasm32-wasip1'];
  args.push('--manifest-path', 'test/bench/rust-peer/Cargo.toml', '--target-dir', 'build/rust-peer');
  const built = spawnSync('cargo', args, { cwd: ROOT, encoding: 'utf8', timeout: 300_000 });
  if (built.status === 0) {
    return { suite, empty, rust: join(ROOT, 'build/rust-peer/wasm32-wasip1/release/trace_peer.wasm') };
  }
  progress(`NO RUST PEER, so its targets will not hold: cargo: ${built.error?.message ?? built.stderr.trim()}`);
  return { suite, empty, rust: null };
}

/** Bytes of a module without its custom sections called `name`, which only backtraces need. */
export function sizeWithoutNames(file: string): number {
  const bytes = readFileSync(file);
  let size = 8;
  let at = 8;
  while (at < bytes.length) {
    const start = at;
    const id = bytes[at++];
    const [length, body] = leb128(bytes, at);
    at = body + length;
    const [nameLength, name] = leb128(bytes, body);
    const isNames = id === 0 && bytes.toString('latin1', name, name + nameLength) === 'name';
    if (!isNames) size += at - start;
  }
  return size;
}

/** Value and end of an unsigned LEB128 number. */
function leb128(bytes: Uint8Array, start: number): [value: number, end: number] {
  let value = 0;
  let shift = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at + 1];
    shift += 7;
  }
  throw new Error('the module ends within a number');
}
