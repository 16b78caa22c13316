/**
 * `make build`: build/causeway.wasm from filters/suite.ts and build/causeway.mjs (the CLI) from harness/cli/main.ts.
 * Fails when the module imports anything but the proxy-wasm host calls that the SDK declares.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { bundle, bundlePage } from './bundle.ts';

export const ROOT = join(import.meta.dirname, '..');
const CONFIG = 'asconfig.json';
const ABI_FILE = 'filters/sdk/abi/imports.ts';

/** Every import the module may have, as `module.name`: exactly the declarations of the SDK's ABI file. */
export function allowedImports(): Set<string> {
  const declared = readFileSync(join(ROOT, ABI_FILE), 'utf8').matchAll(/@external\("([^"]+)", "([^"]+)"\)/g);
  return new Set(Array.from(declared, ([, module, name]) => `${module}.${name}`));
}

/** Imports of a wasm module outside the allow-list, as `module.name`. */
export function forbiddenImports(wasm: Uint8Array<ArrayBuffer>): string[] {
  const allowed = allowedImports();
  return WebAssembly.Module.imports(new WebAssembly.Module(wasm))
    .map(({ module, name }) => `${module}.${name}`)
    .filter((name) => !allowed.has(name));
}

/** Compiles one AssemblyScript entry, and no other, with the release target of asconfig.json; throws with the compiler's words. */
export async function compile(
  entry: string,
  outFile: string,
  flags: readonly string[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const { error, stderr } = await asc.main(
    [entry, '--config', CONFIG, '--target', 'release', '--outFile', outFile, ...flags],
    {
      readFile: (name, baseDir) => (name === CONFIG ? settings() : readText(join(baseDir, name))),
      writeFile: (name, contents, baseDir) => {
        writeFileSync(join(baseDir, name), contents);
      },
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`${entry} does not compile:\n${stderr.toString()}`);
  const wasm = new Uint8Array(readFileSync(outFile));
  const forbidden = forbiddenImports(wasm);
  if (forbidden.length > 0) {
    throw new Error(
      `${outFile} imports ${forbidden.join(', ')}, which no Envoy offers to a proxy-wasm module. ` +
        `Allowed are the declarations in ${ABI_FILE}; look for Math.random, Date.now, console or trace in the sources.`,
    );
  }
  return wasm;
}

/** Its own entries would be compiled beside the one that is asked for. */
function settings(): string {
  return JSON.stringify({ ...JSON.parse(readFileSync(join(ROOT, CONFIG), 'utf8')), entries: [] });
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

if (import.meta.filename === process.argv[1]) {
  process.chdir(ROOT);
  mkdirSync('build', { recursive: true });
  const [wasm] = await Promise.all([
    compile('filters/suite.ts', 'build/causeway.wasm'),
    bundle('causeway', 'build/causeway.mjs'),
    bundle('bookinfo', 'build/bookinfo.mjs'),
    bundle('overload', 'build/overload.mjs'),
    bundle('heal', 'build/heal.mjs'),
    bundlePage('build/topology.html'),
  ]);
  const digest = createHash('sha256').update(wasm).digest('hex');
  process.stdout.write(`build/causeway.wasm  ${wasm.length} bytes  sha256 ${digest}\nbuild/causeway.mjs\n`);
}
