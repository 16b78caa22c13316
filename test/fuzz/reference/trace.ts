import { FORMATS, type Format, stickyHash, traceId } from '../trace-reference.ts';
import type { RequestHeaders } from './request.ts';

/** Where trace ids are found: the configuration's `sources`. */
export interface Source {
  readonly header: string;
  readonly format?: string | undefined;
}

export const DEFAULT_SOURCES: readonly Source[] = [{ header: 'x-request-id' }];

const MASK64 = (1n << 64n) - 1n;

function formatOf(source: Source): Format {
  const header = source.header.toLowerCase();
  const name = source.format ?? (header === 'x-b3-traceid' ? 'b3-traceid' : header);
  // A header of this name says nothing of its format: only the name that B3 gives it does.
  if (source.format === undefined && name === 'b3-traceid' && header !== 'x-b3-traceid') return 'plain';
  return FORMATS.find((format) => format === name) ?? 'plain';
}

/** The trace ids of a request in the order of `sources`, those that it has. */
export function traceIds(headers: RequestHeaders, sources: readonly Source[]): string[] {
  return sources
    .map((source) => traceId(formatOf(source), headers.first(source.header.toLowerCase())))
    .filter((id) => id !== undefined);
}

/** The number that all hops of a trace draw by; 0n without a trace id. */
export function stickyNumber(headers: RequestHeaders, sources: readonly Source[]): bigint {
  const [id] = traceIds(headers, sources);
  return id === undefined ? 0n : stickyHash(id, 0n);
}

/** The finaliser of murmur3. */
function mix64(value: bigint): bigint {
  let h = value;
  h = ((h ^ (h >> 33n)) * 0xff51afd7ed558ccdn) & MASK64;
  h = ((h ^ (h >> 33n)) * 0xc4ceb9fe1a85ec53n) & MASK64;
  return h ^ (h >> 33n);
}

/** A number from 0 up to, but without, 1: what `salt` makes of a trace. */
export function fraction(sticky: bigint, salt: string, twist = 0n): number {
  // The hash of a text in exact letter case is that of an id in lower case.
  return Number(mix64(sticky ^ stickyHash(salt, 0n) ^ twist) >> 32n) / 0x1_0000_0000;
}
