import { byteAt, indexOfByte, lenOf, ptrOf, Slice, slice, sub } from '../slice';
import { parseCidr } from './cidr';
import { equalsText } from './json';

/**
 * The named string formats that a configuration schema may use. Schemas have no `pattern`: a regular expression engine
 * in the filter would be large and could backtrack. `tools/schema-formats.ts` holds the same list for ajv; one corpus
 * of good and bad values is put to both.
 */
export function matchesFormat(name: Slice, value: Slice): bool {
  if (equalsText(name, 'label-value')) return isLabelValue(value);
  if (equalsText(name, 'dns-label')) return isDnsLabel(value);
  if (equalsText(name, 'header-name')) return isToken(value, 128);
  if (equalsText(name, 'token')) return isToken(value, 256);
  if (equalsText(name, 'header-value')) return isHeaderValue(value);
  if (equalsText(name, 'printable')) return isPrintable(value, 0x20);
  if (equalsText(name, 'path')) return isPath(value);
  if (equalsText(name, 'cidr')) return parseCidr(value);
  if (equalsText(name, 'address')) return isAddress(value);
  if (equalsText(name, 'authority')) return isAuthority(value);
  return false;
}

/** What a value of the format is, for messages. */
export function formatMeaning(name: Slice): string {
  if (equalsText(name, 'label-value'))
    return 'a Kubernetes label value (1 to 63 letters, digits, ".", "_", "-", first and last a letter or digit)';
  if (equalsText(name, 'dns-label'))
    return 'a DNS label (1 to 63 lower case letters, digits and "-", first and last no "-")';
  if (equalsText(name, 'header-name')) return "a header name (1 to 128 letters, digits and !#$%&'*+-.^_`|~)";
  if (equalsText(name, 'token')) return "a token (1 to 256 letters, digits and !#$%&'*+-.^_`|~)";
  if (equalsText(name, 'header-value')) return 'a header value (no control characters, no blank at either end)';
  if (equalsText(name, 'printable')) return 'printable ASCII characters';
  if (equalsText(name, 'path')) return 'a path ("/" first, printable ASCII characters, no blank, "?" or "#")';
  if (equalsText(name, 'cidr')) return 'an IP address or CIDR block (10.0.0.0/8, 2001:db8::/32)';
  if (equalsText(name, 'address')) return 'an IP address and port (10.0.0.1:9080, [2001:db8::1]:9080)';
  if (equalsText(name, 'authority')) return 'a host name or IP address with an optional port (reviews:9080)';
  return 'a format that this filter knows';
}

function isLetterOrDigit(byte: u8): bool {
  const folded = byte | 0x20;
  return (folded >= 0x61 && folded <= 0x7a) || isDigit(byte);
}

function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
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

/** `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?` */
export function isDnsLabel(s: Slice): bool {
  if (!isLabelValue(s)) return false;
  for (let i = 0, n = lenOf(s); i < n; i++) {
    const byte = byteAt(s, i);
    if (byte === 0x2e || byte === 0x5f || (byte >= 0x41 && byte <= 0x5a)) return false;
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

function isPrintable(s: Slice, lowest: u8): bool {
  for (let i = 0, n = lenOf(s); i < n; i++) {
    const byte = byteAt(s, i);
    if (byte < lowest || byte > 0x7e) return false;
  }
  return true;
}

function isPath(s: Slice): bool {
  return (
    lenOf(s) > 0 &&
    byteAt(s, 0) === 0x2f &&
    isPrintable(s, 0x21) &&
    indexOfByte(s, 0x3f) < 0 &&
    indexOfByte(s, 0x23) < 0
  );
}

/** `1.2.3.4:80` or `[2001:db8::1]:80`. */
function isAddress(s: Slice): bool {
  const colon = portColon(s);
  if (colon < 1 || !isPort(sub(s, colon + 1, lenOf(s)))) return false;
  let host = sub(s, 0, colon);
  const bracketed = byteAt(host, 0) === 0x5b;
  if (bracketed) {
    if (byteAt(host, lenOf(host) - 1) !== 0x5d) return false;
    host = sub(host, 1, lenOf(host) - 1);
  }
  if (indexOfByte(host, 0x2f) >= 0 || !parseCidr(host)) return false;
  return bracketed === indexOfByte(host, 0x3a) >= 0;
}

/** Host names of letters, digits, "-", "." and "_", or an address in brackets; port optional; at most 255 bytes. */
function isAuthority(s: Slice): bool {
  const length = lenOf(s);
  if (length < 1 || length > 255) return false;
  let end = length;
  const colon = portColon(s);
  if (colon >= 0) {
    if (!isPort(sub(s, colon + 1, length))) return false;
    end = colon;
  }
  if (end < 1) return false;
  if (byteAt(s, 0) === 0x5b) {
    const host = slice(ptrOf(s) + 1, max(end - 2, 0));
    return (
      byteAt(s, end - 1) === 0x5d && indexOfByte(host, 0x3a) >= 0 && indexOfByte(host, 0x2f) < 0 && parseCidr(host)
    );
  }
  for (let i = 0; i < end; i++) {
    const byte = byteAt(s, i);
    if (!isLetterOrDigit(byte) && byte !== 0x2d && byte !== 0x2e && byte !== 0x5f) return false;
  }
  return true;
}

/** Index of the colon before the port: the last one, unless it is inside brackets; -1 without port. */
function portColon(s: Slice): i32 {
  for (let i = lenOf(s) - 1; i >= 0; i--) {
    const byte = byteAt(s, i);
    if (byte === 0x3a) return i;
    if (byte === 0x5d) return -1;
  }
  return -1;
}

/** 1 to 65535, no leading zero. */
function isPort(s: Slice): bool {
  const length = lenOf(s);
  if (length < 1 || length > 5 || byteAt(s, 0) === 0x30) return false;
  let port = 0;
  for (let i = 0; i < length; i++) {
    if (!isDigit(byteAt(s, i))) return false;
    port = port * 10 + (byteAt(s, i) - 0x30);
  }
  return port <= 65535;
}
