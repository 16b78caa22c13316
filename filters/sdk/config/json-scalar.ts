export function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** mantissa * 10^exponent. High and low part separately, so that 16 to 19 digits do not lose their last ones at once. */
export function scale(mantissa: u64, exponent: i32): f64 {
  if (mantissa === 0) return 0;
  // Beyond these the result is infinite or zero whatever the mantissa; it bounds the loops.
  if (exponent > 310) return Infinity;
  if (exponent < -345) return 0;
  const high = mantissa as f64;
  const low = high < 1e18 ? ((mantissa - (high as u64)) as i64 as f64) : 0;
  return scaled(high, exponent) + scaled(low, exponent);
}

function scaled(value: f64, exponent: i32): f64 {
  let left = exponent;
  while (left > 22) {
    value *= 1e22;
    left -= 22;
  }
  while (left < -22) {
    value /= 1e22;
    left += 22;
  }
  // Powers of ten to 10^22 are exact doubles.
  let power: f64 = 1;
  for (let i = left < 0 ? -left : left; i > 0; i--) power *= 10;
  return left < 0 ? value / power : value * power;
}

/** Writes the code point at `to` and returns the address behind it; 1 to 4 bytes. */
export function encodeUtf8(code: i32, to: usize): usize {
  if (code < 0x80) {
    store<u8>(to, code as u8);
    return to + 1;
  }
  if (code < 0x800) {
    store<u8>(to, (0xc0 | (code >> 6)) as u8);
    store<u8>(to, (0x80 | (code & 0x3f)) as u8, 1);
    return to + 2;
  }
  if (code < 0x10000) {
    store<u8>(to, (0xe0 | (code >> 12)) as u8);
    store<u8>(to, (0x80 | ((code >> 6) & 0x3f)) as u8, 1);
    store<u8>(to, (0x80 | (code & 0x3f)) as u8, 2);
    return to + 3;
  }
  store<u8>(to, (0xf0 | (code >> 18)) as u8);
  store<u8>(to, (0x80 | ((code >> 12) & 0x3f)) as u8, 1);
  store<u8>(to, (0x80 | ((code >> 6) & 0x3f)) as u8, 2);
  store<u8>(to, (0x80 | (code & 0x3f)) as u8, 3);
  return to + 4;
}
