import { build } from 'esbuild';

/**
 * Bundles the Bookinfo services into one file that plain `node` runs, in the driver's processes and in the compose
 * image alike. undici asks for node's modules by `require`, which an ES module has to make itself.
 */
export async function bundleBookinfo(outfile: string): Promise<void> {
  await build({
    entryPoints: [new URL('../harness/bookinfo/main.ts', import.meta.url).pathname],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  await bundleBookinfo(process.argv[2] ?? 'build/bookinfo.mjs');
}
