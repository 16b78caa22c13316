import { byteAt, lenOf, Slice } from '../slice';
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
