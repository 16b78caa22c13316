import { u32le } from './bytes.ts';

/** A name and a value, both binary strings. */
export type Pair = readonly [name: string, value: string];

/** Limits of the host; a buffer beyond them is read as no pairs at all. */
const MAX_BYTES = 1024 * 1024;
const MAX_COUNT = 1024;

/**
 * Layout (all integers u32 little endian):
 *
 *   count | name length, value length (× count) | name NUL value NUL (× count)
 */
export function encodePairs(pairs: readonly Pair[]): string {
  let head = u32le(pairs.length);
  let body = '';
  for (const [name, value] of pairs) {
    head += u32le(name.length) + u32le(value.length);
    body += `${name}\0${value}\0`;
  }
  return head + body;
}

/** The pairs, or undefined when the buffer is not exactly of that layout (Envoy then sees no pairs). */
export function decodePairs(data: string): Pair[] | undefined {
  if (data.length === 0) return [];
  if (data.length < 4 || data.length > MAX_BYTES) return undefined;
  const bytes = Buffer.from(data, 'latin1');
  const count = bytes.readUInt32LE(0);
  if (count > MAX_COUNT || 4 + count * 8 > bytes.length) return undefined;
  const pairs: Pair[] = [];
  let at = 4 + count * 8;
  const take = (length: number): string | undefined => {
    if (at + length + 1 > bytes.length || bytes[at + length] !== 0) return undefined;
    const part = data.slice(at, at + length);
    at += length + 1;
    return part;
  };
  for (let i = 0; i < count; i++) {
    const name = take(bytes.readUInt32LE(4 + i * 8));
    const value = name === undefined ? undefined : take(bytes.readUInt32LE(8 + i * 8));
    if (name === undefined || value === undefined) return undefined;
    pairs.push([name, value]);
  }
  return at === bytes.length ? pairs : undefined;
}
