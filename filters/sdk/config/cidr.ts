import { byteAt, lenOf, Slice } from '../slice';

/**
 * IP addresses and CIDR blocks as 128 bits. IPv4 lives at ::ffff:0:0/96, so both families compare in one way and an
 * IPv4 address that arrives mapped into IPv6 is the same address.
 *
 * The functions answer through globals, because two 64-bit halves and a prefix length do not fit one return value and
 * an object would be an allocation per request.
 */
export let addressHigh: u64 = 0;
export let addressLow: u64 = 0;
/** Prefix length of the last block, 0 to 128, counted in the 128-bit form (IPv4 /8 = 104). */
export let prefixBits: i32 = 0;

const V4_PREFIX: u64 = 0xffff00000000;

/** Parses `address` or `address/length` as a whole; true and the globals set, or false. Bits behind the prefix are allowed. */
export function parseCidr(s: Slice): bool {
  const length = lenOf(s);
  let end = length;
  for (let i = 0; i < length; i++) {
    if (byteAt(s, i) === 0x2f) {
      end = i;
      break;
    }
  }
  if (!parseAddress(s, 0, end)) return false;
  const v4 = isV4(s, end);
  prefixBits = 128;
  if (end === length) return true;
  const bits = decimal(s, end + 1, length, v4 ? 32 : 128);
  if (bits < 0) return false;
  prefixBits = v4 ? 96 + bits : bits;
  return true;
}

/** Parses bytes `[from, to)` of `s` as an IPv4 or IPv6 address (no zone) into the globals. */
export function parseAddress(s: Slice, from: i32, to: i32): bool {
  if (to - from < 2 || to - from > 45) return false;
  for (let i = from; i < to; i++) {
    if (byteAt(s, i) === 0x3a) return parseV6(s, from, to);
  }
  return parseV4(s, from, to);
}

/** True where the address lies in the block. */
export function inBlock(high: u64, low: u64, blockHigh: u64, blockLow: u64, bits: i32): bool {
  if (bits <= 64) return bits === 0 || (high ^ blockHigh) >> (64 - bits) === 0;
  return high === blockHigh && (bits === 128 ? low === blockLow : (low ^ blockLow) >> (128 - bits) === 0);
}

function isV4(s: Slice, end: i32): bool {
  for (let i = 0; i < end; i++) {
    if (byteAt(s, i) === 0x3a) return false;
  }
  return true;
}

/** Decimal number without leading zeros, 0 to `limit`; -1 otherwise. */
function decimal(s: Slice, from: i32, to: i32, limit: i32): i32 {
  if (to - from < 1 || to - from > 3 || (to - from > 1 && byteAt(s, from) === 0x30)) return -1;
  let value = 0;
  for (let i = from; i < to; i++) {
    const byte = byteAt(s, i);
    if (byte < 0x30 || byte > 0x39) return -1;
    value = value * 10 + (byte - 0x30);
  }
  return value <= limit ? value : -1;
}

function parseV4(s: Slice, from: i32, to: i32): bool {
  let value: u64 = 0;
  let start = from;
  let parts = 0;
  for (let i = from; i <= to; i++) {
    if (i < to && byteAt(s, i) !== 0x2e) continue;
    const part = decimal(s, start, i, 255);
    if (part < 0 || ++parts > 4) return false;
    value = (value << 8) | (part as u64);
    start = i + 1;
  }
  if (parts !== 4) return false;
  addressHigh = 0;
  addressLow = V4_PREFIX | value;
  return true;
}

/** The eight groups of the IPv6 address being parsed, big endian. */
const GROUPS = memory.data(16, 8);

function parseV6(s: Slice, from: i32, to: i32): bool {
  let groups = 0;
  let gapAt = -1;
  let at = from;
  if (byteAt(s, at) === 0x3a) {
    if (byteAt(s, at + 1) !== 0x3a) return false;
    gapAt = 0;
    at += 2;
  }
  while (at < to) {
    let end = at;
    let group = 0;
    while (end < to && hexDigit(byteAt(s, end)) >= 0) {
      group = (group << 4) | hexDigit(byteAt(s, end));
      if (++end - at > 4) return false;
    }
    if (end < to && byteAt(s, end) === 0x2e) {
      // The last 32 bits may be written as an IPv4 address.
      if (groups > 6 || !parseV4(s, at, to)) return false;
      store<u32>(GROUPS + groups * 2, bswap<u32>(addressLow as u32));
      groups += 2;
      break;
    }
    if (end === at || groups === 8) return false;
    store<u16>(GROUPS + groups * 2, bswap<u16>(group as u16));
    groups++;
    at = end;
    if (at === to) break;
    if (byteAt(s, at) !== 0x3a || ++at === to) return false;
    if (byteAt(s, at) === 0x3a) {
      if (gapAt >= 0) return false;
      gapAt = groups;
      at++;
    }
  }
  if (gapAt < 0) {
    if (groups !== 8) return false;
  } else {
    if (groups > 7) return false;
    const behind = (groups - gapAt) * 2;
    memory.copy(GROUPS + 16 - behind, GROUPS + gapAt * 2, behind);
    memory.fill(GROUPS + gapAt * 2, 0, (8 - groups) * 2);
  }
  addressHigh = bswap<u64>(load<u64>(GROUPS));
  addressLow = bswap<u64>(load<u64>(GROUPS, 8));
  return true;
}

function hexDigit(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const folded = byte | 0x20;
  return folded >= 0x61 && folded <= 0x66 ? folded - 0x57 : -1;
}
