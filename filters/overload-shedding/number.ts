/** Numbers as applications write them into headers: not to be trusted, never a reason to trap. */
import { byteAt, lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

const MAX_LENGTH: i32 = 32;

/**
 * A number that is not negative: digits, an optional fraction, an optional exponent (`12`, `0.35`, `1e-3`). `NaN` for
 * anything else, also a sign, `NaN`, `inf`, a list, more than 32 bytes, and values above `most`.
 */
export function parseNumber(text: Slice, most: f64): f64 {
  const length = lenOf(text);
  if (length === 0 || length > MAX_LENGTH) return NaN;
  let at = 0;
  let value: f64 = 0;
  let digits = 0;
  let exponent = 0;
  for (; at < length && isDigit(byteAt(text, at)); at++, digits++) value = value * 10 + digitOf(text, at);
  if (at < length && byteAt(text, at) === 0x2e) {
    for (at++; at < length && isDigit(byteAt(text, at)); at++, digits++, exponent--) {
      value = value * 10 + digitOf(text, at);
    }
  }
  if (digits === 0) return NaN;
  if (at < length && (byteAt(text, at) | 0x20) === 0x65) {
    at++;
    const negative = at < length && byteAt(text, at) === 0x2d;
    if (at < length && (negative || byteAt(text, at) === 0x2b)) at++;
    const first = at;
    let written = 0;
    for (; at < length && isDigit(byteAt(text, at)); at++) {
      if (written < 1000) written = written * 10 + ((byteAt(text, at) - 0x30) as i32);
    }
    if (at === first) return NaN;
    exponent += negative ? -written : written;
  }
  if (at !== length) return NaN;
  // The mantissa has at most 32 digits: past these exponents nothing changes any more.
  for (let i = min(exponent, 320); i > 0; i--) value *= 10;
  for (let i = max(exponent, -360); i < 0; i++) value /= 10;
  return value <= most ? value : NaN;
}

function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

function digitOf(text: Slice, at: i32): f64 {
  return (byteAt(text, at) - 0x30) as f64;
}
