import { byteAt, indexOfByte, lenOf, Slice } from '../slice';
import { parseCidr } from './cidr';
import { equalsText } from './json';
import { isDigit } from './json-scalar';

/**
 * The named string formats that a configuration schema may use. Schemas have no `pattern`: a regular expression engine
 * in the filter would be large and could backtrack. `tools/schema-formats.ts` holds the same list for ajv; one corpus
 * of good and bad values is put to both.
 */
export function matchesFormat(name: Slice, value: Slice): bool {
  if (equalsText(name, 'label-value')) return isLabelValue(value);
  if (equalsText(name, 'header-name')) return isToken(value, 128);
  if (equalsText(name, 'token')) return isToken(value, 256);
  if (equalsText(name, 'header-value')) return isHeaderValue(value);
  if (equalsText(name, 'printable')) return isPrintable(value);
  if (equalsText(name, 'cidr')) return parseCidr(value);
  if (equalsText(name, 'path-template')) return isPathTemplate(value);
  return false;
}

function isLetterOrDigit(byte: u8): bool {
  const folded = byte | 0x20;
  return (folded >= 0x61 && folded <= 0x7a) || isDigit(byte);
}

/** `[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?` */
export function isLabelValue(s: Slice): bool {
  const length = lenOf(s);
  if (length < 1 || length > 63) return false;
  if (!isLetterOrDigit(byteAt(s, 0)) || !isLetterOrDigit(byteAt(s, length - 1))) return false;
  for (let i = 1; i < length - 1; i++) {
    const byte = byteAt(s, i);
    if (!isLetterOrDigit(byte) && byte !== 0x2d && byte !== 0x2e && byte !== 0x5f) return false;
  }
  return true;
}

/** RFC 9110 token. */
export function isToken(s: Slice, limit: i32): bool {
  const length = lenOf(s);
  if (length < 1 || length > limit) return false;
  for (let i = 0; i < length; i++) {
    const byte = byteAt(s, i);
    if (isLetterOrDigit(byte)) continue;
    // The tokens' punctuation is what remains of the printable characters without the delimiters.
    if (byte <= 0x20 || byte >= 0x7f) return false;
    if (byte === 0x22 || byte === 0x28 || byte === 0x29 || byte === 0x2c || byte === 0x2f) return false;
    if (byte >= 0x3a && byte <= 0x40) return false;
    if (byte >= 0x5b && byte <= 0x5d) return false;
    if (byte === 0x7b || byte === 0x7d) return false;
  }
  return true;
}

/** Bytes that may stand in a header: no control characters but the tab, no blank at the ends; 0x80 to 0xff may. */
function isHeaderValue(s: Slice): bool {
  const length = lenOf(s);
  for (let i = 0; i < length; i++) {
    const byte = byteAt(s, i);
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return false;
    if ((i === 0 || i === length - 1) && (byte === 0x20 || byte === 0x09)) return false;
  }
  return true;
}

function isPrintable(s: Slice): bool {
  for (let i = 0, n = lenOf(s); i < n; i++) {
    const byte = byteAt(s, i);
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

/** Most segments of a path template; `/` has one. */
export const MAX_TEMPLATE_SEGMENTS: i32 = 32;

/**
 * Segments that each follow a slash: literal text, or `{name}` for one segment of any text. `**` at the very end stands for
 * whatever follows. 256 bytes of printable ASCII without the characters that end a path.
 */
export function isPathTemplate(s: Slice): bool {
  const length = lenOf(s);
  let count = 0;
  let at = 0;
  while (at < length && length <= 256) {
    if (byteAt(s, at) !== 0x2f || ++count > MAX_TEMPLATE_SEGMENTS) return false;
    at++;
    if (at < length && byteAt(s, at) === 0x7b) {
      const close = indexOfByte(s, 0x7d, at);
      if (close < at + 2) return false;
      for (at++; at < close; at++) {
        const byte = byteAt(s, at);
        if (!isLetterOrDigit(byte) && byte !== 0x5f) return false;
      }
      at++;
      continue;
    }
    for (; at < length && byteAt(s, at) !== 0x2f; at++) {
      const byte = byteAt(s, at);
      if (byte === 0x2a) return at === length - 2 && byteAt(s, at + 1) === 0x2a;
      if (byte <= 0x20 || byte >= 0x7f || byte === 0x23 || byte === 0x3f || byte === 0x7b || byte === 0x7d)
        return false;
    }
  }
  return at === length && length > 0;
}
