import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allowedImports, compile, forbiddenImports, ROOT } from '../../tools/build.ts';

/**
 * Bytes that the module may have without its name section: a ratchet, to be lowered with every diet. The target itself,
 * 64 KiB, stands in test/targets.json and is judged by the bench.
 */
const MAX_MODULE = 172 * 1024;
const BUILT = 'build/causeway.wasm';

let dir: string;

beforeAll(() => {
  process.chdir(ROOT);
  dir = mkdtempSync('build/build-test-');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What `make build` has left in another process, where no source is younger; else compiled once more. */
async function earlier(): Promise<Uint8Array<ArrayBuffer>> {
  const sources = ['asconfig.json', 'package-lock.json', 'tools/build.ts', ...filesBelow('filters')];
  const youngest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  const isCurrent = existsSync(BUILT) && statSync(BUILT).mtimeMs > youngest;
  return isCurrent ? new Uint8Array(readFileSync(BUILT)) : compile('filters/suite.ts', join(dir, 'second.wasm'));
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('the build', () => {
  let wasm: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    wasm = await compile('filters/suite.ts', join(dir, 'first.wasm'));
  });

  it('gives the same module for the same source, byte for byte', async () => {
    expect(sha256(await earlier())).toBe(sha256(wasm));
  });

  it(`keeps the module within ${MAX_MODULE} bytes without its name section`, () => {
    const names = WebAssembly.Module.customSections(new WebAssembly.Module(wasm), 'name');
    const nameBytes = names.reduce((sum, section) => sum + section.byteLength, 0);
    expect(nameBytes, 'host backtraces need the name section').toBeGreaterThan(0);
    expect(wasm.length - nameBytes).toBeLessThanOrEqual(MAX_MODULE);
  });

  it('refuses a module that asks a browser or Node for anything, and names it', async () => {
    const entry = join(dir, 'leaky.ts');
    writeFileSync(
      entry,
      `import '~lib/proxy-wasm-assemblyscript-sdk/abi/abort';
export function value(): f64 { return Math.random() + (Date.now() as f64) + (process.hrtime() as f64); }
`,
    );
    const refusal = expect(compile(entry, join(dir, 'leaky.wasm'))).rejects;
    await refusal.toThrow(/imports env\.seed, env\.performance\.now, env\.Date\.now, which no Envoy offers/);
  });

  it('allows what the ABI declares and nothing else', () => {
    expect(allowedImports()).toContain('env.proxy_get_header_map_value');
    const wat = new Uint8Array([
      0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 9, 1, 3, 101, 110, 118, 1, 120, 0, 0,
    ]);
    expect(forbiddenImports(wat)).toEqual(['env.x']);
  });
});
