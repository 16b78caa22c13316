import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import asc from 'assemblyscript/asc';

const ROOT = resolve(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'build/test-plugins');

export interface CompileOptions {
  /** Export the allocator and the collector (`__new`, `__collect`): for torture and for counting. */
  readonly exportRuntime?: boolean;
  /** Further arguments of asc. */
  readonly flags?: readonly string[];
}

/**
 * Compiles a file of test/plugins as a filter module is compiled, and answers the path of the module. The result is
 * cached under build/, keyed by every source that can go into it.
 * @throws Error with the compiler's messages
 */
export async function compilePlugin(source: string, options: CompileOptions = {}): Promise<string> {
  const path = resolve(ROOT, source);
  const flags = [
    '--runtime',
    'incremental',
    '--exportStart',
    '_initialize',
    '--maximumMemory',
    '256',
    '-O3',
    '--debug',
    '--use',
    'abort=~lib/proxy-wasm-assemblyscript-sdk/abi/abort/abort',
    ...(options.exportRuntime ? ['--exportRuntime'] : []),
    ...(options.flags ?? []),
  ];
  const key = createHash('sha256').update(JSON.stringify(flags)).update(asc.version);
  for (const file of [...assemblyScriptFiles(join(ROOT, 'filters')), ...assemblyScriptFiles(dirname(path))]) {
    key.update(file).update(readFileSync(file));
  }
  const name = `${relative(ROOT, path).replaceAll(/[^a-z0-9]+/gi, '-')}-${key.digest('hex').slice(0, 16)}.wasm`;
  const output = join(CACHE, name);
  if (!existsSync(output)) await compile(path, output, flags);
  return output;
}

async function compile(path: string, output: string, flags: readonly string[]): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main([path, '--outFile', 'out.wasm', ...flags], {
    readFile: (name, base) => {
      // The project's configuration would add the suite as a second entry.
      if (name.endsWith('asconfig.json')) return null;
      const file = resolve(base, name);
      return existsSync(file) ? readFileSync(file, 'utf8') : null;
    },
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm') && contents instanceof Uint8Array) binary = contents;
    },
    listFiles: () => null,
  });
  if (error !== null || binary === undefined) throw new Error(`asc ${relative(ROOT, path)}: ${error}\n${stderr}`);
  // Several test processes may compile the same plugin: the rename makes the last one win as a whole.
  const partial = `${output}.${process.pid}`;
  await writeFile(partial, binary);
  await rename(partial, output);
}

function assemblyScriptFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .sort()
    .map((name) => join(folder, name));
}
