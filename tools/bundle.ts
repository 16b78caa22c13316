import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build, transform } from 'esbuild';
import { GRAPH_STYLE } from '../harness/topology/graph-style.ts';

const ROOT = join(import.meta.dirname, '..');
const MANIFEST: { version: string } = createRequire(import.meta.url)('../package.json');

/** The scripts that are shipped: each one file that plain `node` runs, here and in the compose image. */
export const SCRIPTS = {
  causeway: 'harness/cli/main.ts',
  bookinfo: 'harness/bookinfo/main.ts',
  overload: 'harness/overload/main.ts',
  heal: 'harness/heal/main.ts',
} as const;

/** Bundles one of them into `outFile`, with everything from node_modules that it uses. */
export async function bundle(script: keyof typeof SCRIPTS, outFile: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [SCRIPTS[script]],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Some packages ask for node's modules by `require`, which an ES module has to make itself.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
    define: { 'process.env.CAUSEWAY_VERSION': JSON.stringify(MANIFEST.version) },
    logLevel: 'warning',
  });
}

/** The topology page as one file: markup, style and script, which ask for nothing from elsewhere. */
export async function bundlePage(outFile: string): Promise<void> {
  const folder = join(ROOT, 'harness/topology/page');
  const [script, style] = await Promise.all([
    build({
      entryPoints: [join(folder, 'main.ts')],
      bundle: true,
      write: false,
      minify: true,
      platform: 'browser',
      target: 'es2022',
      format: 'iife',
      logLevel: 'warning',
    }),
    transform(GRAPH_STYLE + readFileSync(join(folder, 'style.css'), 'utf8'), { loader: 'css', minify: true }),
  ]);
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
    .replace('/* style */', () => style.code)
    .replace('/* script */', () => script.outputFiles[0]?.text ?? '');
  writeFileSync(outFile, page);
}
