import { lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * SipHash-2-4 with 128 bits of output (Aumasson, Bernstein 2012) over the bytes in ASCII lower case. Keyed, so that
 * nobody outside can aim ids at one bucket of the trace map or at another id's fingerprint.
 */
let v0: u64 = 0;
let v1: u64 = 0;
let v2: u64 = 0;
let v3: u64 = 0;
let low: u64 = 0;
let high: u64 = 0;

/** First 64 bits of the last `sipHash128`. */
export function sipLow(): u64 {
  return low;
}

/** Last 64 bits of the last `sipHash128`. */
export function sipHigh(): u64 {
  return high;
}

/** Hashes `s` with the 128-bit key `(k0, k1)`; the result is read with `sipLow` and `sipHigh`. */
export function sipHash128(s: Slice, k0: u64, k1: u64): void {
  const length = lenOf(s) as usize;
  const start = (s >> 32) as usize;
  const end = start + (length & ~7);
  v0 = k0 ^ 0x736f6d6570736575;
  v1 = k1 ^ 0x646f72616e646f6d ^ 0xee;
  v2 = k0 ^ 0x6c7967656e657261;
  v3 = k1 ^ 0x7465646279746573;
  for (let at = start; at < end; at += 8) absorb(fold(load<u64>(at)));
  let tail: u64 = (length as u64) << 56;
  const rest = length & 7;
  for (let i: usize = 0; i < rest; i++) tail |= fold(load<u8>(end + i) as u64) << ((i as u64) << 3);
  absorb(tail);
  v2 ^= 0xee;
  for (let i = 0; i < 4; i++) round();
  low = v0 ^ v1 ^ v2 ^ v3;
  v1 ^= 0xdd;
  for (let i = 0; i < 4; i++) round();
  high = v0 ^ v1 ^ v2 ^ v3;
}

function absorb(word: u64): void {
  v3 ^= word;
  round();
  round();
  v0 ^= word;
}

function round(): void {
  v0 += v1;
  v1 = rotl(v1, 13) ^ v0;
  v0 = rotl(v0, 32);
  v2 += v3;
  v3 = rotl(v3, 16) ^ v2;
  v0 += v3;
  v3 = rotl(v3, 21) ^ v0;
  v2 += v1;
  v1 = rotl(v1, 17) ^ v2;
  v2 = rotl(v2, 32);
}

/** ASCII lower case of eight bytes at once: adds 0x20 to every byte in 0x41–0x5a, leaves bytes >= 0x80 alone. */
function fold(word: u64): u64 {
  const low7 = word & 0x7f7f7f7f7f7f7f7f;
  const fromA = low7 + 0x3f3f3f3f3f3f3f3f;
  const beyondZ = low7 + 0x2525252525252525;
  const upper = ~word & (fromA ^ beyondZ) & 0x8080808080808080;
  return word | (upper >> 2);
}
