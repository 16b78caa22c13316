/**
 * `make image`: build/image, an OCI image layout of build/causeway.wasm, byte for byte the same for the same module. Push it
 * with any tool that reads layouts: `skopeo copy oci:build/image:<version> docker://…`, `crane push build/image …`.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ociImage, sha256 } from '../envoy-configs/istio/oci.ts';
import { ROOT } from './build.ts';

const { version }: { version: string } = createRequire(import.meta.url)('../package.json');
const folder = join(ROOT, 'build/image');
const image = ociImage(readFileSync(join(ROOT, 'build/causeway.wasm')), version);

rmSync(folder, { recursive: true, force: true });
for (const [path, bytes] of image.files) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), bytes);
}
const sums = [...image.files].map(([path, bytes]) => `${sha256(bytes)}  ${path}`).sort();
writeFileSync(join(folder, 'SHA256SUMS'), `${sums.join('\n')}\n`);
process.stdout.write(`build/image  manifest sha256 ${image.manifestSha256}  module sha256 ${image.moduleSha256}\n`);
