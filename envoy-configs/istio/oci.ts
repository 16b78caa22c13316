import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * The module as an OCI image, in the form that istio-agent fetches: one tar+gzip layer with `plugin.wasm` at its root. A pure
 * function of the module's bytes: no time stamps, and gzip without compression, since two versions of zlib compress the same
 * bytes differently. So everybody who builds the same module gets the same digest.
 */

export interface OciImage {
  /** Files of an OCI image layout by their path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Digest of the manifest, 64 hex digits: what `@sha256:` in a reference and Istio's `sha256` mean. */
  readonly manifestSha256: string;
  readonly moduleSha256: string;
}

export const MODULE_PATH = 'plugin.wasm';

/** `version` becomes the image's tag and its annotation. */
export function ociImage(module: Uint8Array, version: string): OciImage {
  const tar = tarOf(MODULE_PATH, module);
  const layer = storedGzip(tar);
  const config = json({
    architecture: 'wasm',
    os: 'wasi',
    config: {},
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(tar)}`] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
    annotations: { 'org.opencontainers.image.title': 'causeway', 'org.opencontainers.image.version': version },
  });
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
        annotations: { 'org.opencontainers.image.ref.name': version },
      },
    ],
  });
  const blobs = [layer, config, manifest].map((blob) => [`blobs/sha256/${sha256(blob)}`, blob] as const);
  return {
    files: new Map([['oci-layout', json({ imageLayoutVersion: '1.0.0' })], ['index.json', index], ...blobs]),
    manifestSha256: sha256(manifest),
    moduleSha256: sha256(module),
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function descriptor(mediaType: string, blob: Uint8Array) {
  return { mediaType, digest: `sha256:${sha256(blob)}`, size: blob.length };
}

const BLOCK = 512;

/** A ustar archive of one regular file: owner 0, mode 0644, time 0. */
function tarOf(name: string, content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK)]);
}

/** Longest stored block of deflate. */
const STORED = 0xffff;

/** RFC 1952 around stored blocks of RFC 1951. */
function storedGzip(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])];
  for (let at = 0; at < bytes.length; at += STORED) {
    const block = bytes.subarray(at, at + STORED);
    const head = Buffer.alloc(5);
    head.writeUInt8(at + STORED >= bytes.length ? 1 : 0, 0);
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(block.length ^ 0xffff, 3);
    parts.push(head, block);
  }
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(crc32(bytes), 0);
  tail.writeUInt32LE(bytes.length % 2 ** 32, 4);
  return Buffer.concat([...parts, tail]);
}
