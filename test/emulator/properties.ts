import { type Bytes, binary, u64le } from './bytes.ts';
import type { HeaderMap } from './header-map.ts';
import { encodePairs, type Pair } from './pairs.ts';

/**
 * A property as tests write it. Strings and `Uint8Array` are bytes, integers become 8 bytes little endian, other
 * numbers a double, booleans one byte, objects maps that can be walked further or read whole as pairs. A function is
 * asked at each read.
 */
export type Property =
  | Bytes
  | number
  | bigint
  | boolean
  | undefined
  | { readonly [name: string]: Property }
  | (() => Property);

/** Top-level names may be dotted paths (`source.address`); names inside are taken as they are (`envoy.lb`). */
export type Properties = { readonly [path: string]: Property };

export function serializeProperty(value: Property): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'function') return serializeProperty(value());
  if (typeof value === 'string' || value instanceof Uint8Array) return binary(value);
  if (typeof value === 'bigint') return u64le(value);
  if (typeof value === 'boolean') return value ? '\x01' : '\0';
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return u64le(BigInt(value));
    const buffer = Buffer.alloc(8);
    buffer.writeDoubleLE(value);
    return buffer.toString('latin1');
  }
  const pairs: Pair[] = [];
  for (const [name, inner] of Object.entries(value)) {
    const bytes = serializeProperty(inner);
    if (bytes !== undefined) pairs.push([name, bytes]);
  }
  return encodePairs(pairs);
}

/** Walks `segments` from a table of properties; undefined when nothing is there. */
export function findProperty(table: Properties, segments: readonly string[]): string | undefined {
  for (let split = segments.length; split > 0; split--) {
    const key = segments.slice(0, split).join('.');
    if (!Object.hasOwn(table, key)) continue;
    let value: Property = table[key];
    for (const segment of segments.slice(split)) {
      if (typeof value === 'function') value = value();
      if (typeof value !== 'object' || value instanceof Uint8Array || !Object.hasOwn(value, segment)) return undefined;
      value = value[segment];
    }
    return serializeProperty(value);
  }
  return undefined;
}

/** What Envoy derives from the request's headers by itself; undefined when there is nothing of that name. */
export function requestProperty(headers: HeaderMap | undefined, segments: readonly string[]): string | undefined {
  const [, name = '', header] = segments;
  if (headers === undefined || segments.length > 3 || (header !== undefined && name !== 'headers')) return undefined;
  const path = headers.get(':path');
  switch (name) {
    case 'headers':
      return header === undefined ? serializeProperty(headers.toObject()) : headers.get(header);
    case 'path':
      return path;
    case 'url_path':
      return path?.split('?')[0];
    case 'query':
      return path?.split('?')[1] ?? '';
    case 'host':
      return headers.get(':authority');
    case 'scheme':
      return headers.get(':scheme');
    case 'method':
      return headers.get(':method');
    case 'id':
      return headers.get('x-request-id');
    case 'useragent':
      return headers.get('user-agent');
    case 'referer':
      return headers.get('referer');
    default:
      return undefined;
  }
}

/** What Envoy derives from the response's headers by itself. */
export function responseProperty(headers: HeaderMap | undefined, segments: readonly string[]): string | undefined {
  const [, name, header] = segments;
  if (headers === undefined) return undefined;
  if (name === 'code' && segments.length === 2) return serializeProperty(Number(headers.get(':status') ?? 0));
  if (name !== 'headers' || segments.length > 3) return undefined;
  return header === undefined ? serializeProperty(headers.toObject()) : headers.get(header);
}
