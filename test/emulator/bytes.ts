/**
 * Bytes as tests write them: a string whose characters are bytes (U+0000…U+00FF), or the bytes themselves.
 * Inside the emulator all bytes are such "binary" strings: comparable, printable, immutable.
 */
export type Bytes = string | Uint8Array;

/** @throws RangeError when a character is above U+00FF; use `utf8` for text with such characters. */
export function binary(value: Bytes): string {
  if (typeof value !== 'string') {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  }
  for (let i = 0; i < value.length; i++) {
    if (value.charCodeAt(i) > 0xff) throw new RangeError(`not a byte string: ${JSON.stringify(value)}; use utf8(…)`);
  }
  return value;
}

/** The UTF-8 bytes of `text` as a binary string. */
export function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The bytes of a binary string. */
export function bytesOf(value: string): Uint8Array {
  return Buffer.from(value, 'latin1');
}

/** A binary string read as UTF-8, for logs and messages. */
export function textOf(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}

/** 8 bytes, little endian, as properties carry integers. */
export function u64le(value: bigint): string {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
  return buffer.toString('latin1');
}

/** 4 bytes, little endian. */
export function u32le(value: number): string {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return buffer.toString('latin1');
}
