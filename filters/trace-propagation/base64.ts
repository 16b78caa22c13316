import { byteAt, lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

const PAD: u8 = 0x3d;

/**
 * Decodes standard base64 (RFC 4648 §4; padding may be missing, as some tracers leave it out) into `target`.
 * Returns the decoded length; 0 = nothing, or not base64; more than `room` = valid, but too long: then only the first
 * `room` bytes, if any, were written.
 */
export function decodeBase64(text: Slice, target: usize, room: i32): i32 {
  let length = lenOf(text);
  for (let pads = 0; pads < 2 && length > 0 && byteAt(text, length - 1) === PAD; pads++) length--;
  if (length % 4 === 1) return 0;
  let bits: u32 = 0;
  let held = 0;
  let written = 0;
  for (let i = 0; i < length; i++) {
    const value = sextet(byteAt(text, i));
    if (value < 0) return 0;
    bits = (bits << 6) | (value as u32);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    if (written < room) store<u8>(target + written, (bits >> held) as u8);
    written++;
  }
  return written;
}

function sextet(byte: u8): i32 {
  if (byte - 0x41 < 26) return (byte - 0x41) as i32;
  if (byte - 0x61 < 26) return (byte - 0x61 + 26) as i32;
  if (byte - 0x30 < 10) return (byte - 0x30 + 52) as i32;
  if (byte === 0x2b) return 62;
  return byte === 0x2f ? 63 : -1;
}
