import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import asc, { type Transform } from 'assemblyscript/asc';
import { CountAllocations } from './count-allocations.ts';
import { PoisonFreed } from './poison-freed.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'build/test-plugins');

export interface CompileOptions {
  /** For torture: export the collector (`__collect`), and overwrite memory that is freed. */
  readonly exportRuntime?: boolean;
  /**
   * `minimal`, as the release is built, collects only where the SDK asks for it. `incremental`, asc's default, may collect
   * at any allocation. Default: `incremental` with `exportRuntime`, else `minimal`.
   */
  readonly runtime?: 'minimal' | 'incremental';
  /** Count allocations in exported globals, see count-allocations.ts. */
  readonly countAllocations?: boolean;
  /** Further arguments of asc. */
  readonly flags?: readonly string[];
}

type TransformClass = typeof CountAllocations | typeof PoisonFreed;

/** Every source that went into a module, with its hash. */
type Manifest = Record<string, string>;

/**
 * Compiles an entry file as a filter module is compiled, and answers the path of the module. The result is kept under
 * build/ and used again while none of its sources has changed.
 * @throws Error with the compiler's messages
 */
export async function compilePlugin(source: string, options: CompileOptions = {}): Promise<string> {
  const flags = [
    '--runtime',
    options.runtime ?? (options.exportRuntime ? 'incremental' : 'minimal'),
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
  const transforms: TransformClass[] = [
    ...(options.countAllocations ? [CountAllocations] : []),
    ...(options.exportRuntime ? [PoisonFreed] : []),
  ];
  const variant = createHash('sha256')
    .update(JSON.stringify([flags, transforms.map(({ name }) => name)]))
    .update(asc.version)
    .digest('hex')
    .slice(0, 12);
  const name = relative(ROOT, resolve(ROOT, source)).replaceAll(/[^a-z0-9]+/gi, '-');
  const output = join(CACHE, `${name}-${variant}.wasm`);
  if (!upToDate(output)) await compile(source, output, flags, transforms);
  return output;
}

function upToDate(output: string): boolean {
  const manifest = `${output}.json`;
  if (!existsSync(output) || !existsSync(manifest)) return false;
  const sources = JSON.parse(readFileSync(manifest, 'utf8')) as Manifest;
  return Object.entries(sources).every(([file, hash]) => existsSync(file) && hashOf(readFileSync(file)) === hash);
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function compile(
  source: string,
  output: string,
  flags: readonly string[],
  transforms: readonly TransformClass[],
): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const sources: Manifest = {};
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main([source, '--baseDir', ROOT, '--outFile', 'out.wasm', ...flags], {
    readFile: (name, base) => {
      // The project's configuration would add the suite as a second entry.
      if (name.endsWith('asconfig.json')) return null;
      const file = resolve(base, name);
      if (!existsSync(file)) return null;
      const bytes = readFileSync(file);
      sources[file] = hashOf(bytes);
      return bytes.toString('utf8');
    },
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm') && contents instanceof Uint8Array) binary = contents;
    },
    listFiles: () => null,
    // asc makes an object of each class, and sets what the class declares.
    transforms: transforms as unknown as Transform[],
  });
  if (error !== null || binary === undefined) throw new Error(`asc ${source}: ${error}\n${stderr}`);
  // Several test processes may compile the same plugin: a rename replaces a file as a whole. The manifest comes last.
  await replace(output, binary);
  await replace(`${output}.json`, JSON.stringify(sources));
}

async function replace(path: string, contents: Uint8Array | string): Promise<void> {
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, contents);
  await rename(partial, path);
}
