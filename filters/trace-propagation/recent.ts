import { lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * Which untagged ids came in lately: it tells an outbound request of a plain baseline request ("untagged") from one whose
 * id nobody here has ever seen ("leaked"). A Bloom filter in `CHUNKS` pieces of two generations each; an id has two bits
 * in one piece, and is remembered for one to two generations.
 *
 * Layout 1 of a chunk, little endian, 136 bytes:
 *
 *   0                4      5      8                72                 136
 *   +----------------+------+------+----------------+------------------+
 *   | generation u32 | = 1  | 0    | 512 bits: now  | 512 bits: before |
 *   +----------------+------+------+----------------+------------------+
 */
export const CHUNKS: i32 = 256;
export const CHUNK_SIZE: i32 = 136;

const LAYOUT: u8 = 1;
const LAYOUT_AT: usize = 4;
const NOW: usize = 8;
const BEFORE: usize = 72;
const BITS_SIZE: usize = 64;
const BIT_MASK: u32 = 511;

export function isChunk(bytes: Slice): bool {
  return lenOf(bytes) === CHUNK_SIZE && load<u8>((bytes >> 32) as usize, LAYOUT_AT) === LAYOUT;
}

export function clearChunk(chunk: usize): void {
  memory.fill(chunk, 0, CHUNK_SIZE);
  store<u8>(chunk, LAYOUT, LAYOUT_AT);
}

/** Which chunk an id with this hash belongs to. */
export function chunkOf(hash: u64): i32 {
  return ((hash >> 40) as i32) & (CHUNKS - 1);
}

/** Notes an id. False when it was noted in this generation already and nothing changed. */
export function noteRecent(chunk: usize, hash: u64, generation: u32): bool {
  rotate(chunk, generation);
  if (has(chunk + NOW, hash)) return false;
  setBit(chunk + NOW, firstBit(hash));
  setBit(chunk + NOW, secondBit(hash));
  return true;
}

/** True for every id noted in this generation or the one before, and for about (share of bits set)² of all others. */
export function isRecent(chunk: usize, hash: u64, generation: u32): bool {
  const age = generation - load<u32>(chunk);
  // The reader's clock may be a moment behind the writer's.
  if (age === 0 || age === u32.MAX_VALUE) return has(chunk + NOW, hash) || has(chunk + BEFORE, hash);
  return age === 1 && has(chunk + NOW, hash);
}

/** Only forwards: a worker whose clock is a moment behind writes into the generation that is there. */
function rotate(chunk: usize, generation: u32): void {
  const age = generation - load<u32>(chunk);
  if (age === 0 || age === u32.MAX_VALUE) return;
  if (age === 1) memory.copy(chunk + BEFORE, chunk + NOW, BITS_SIZE);
  else memory.fill(chunk + BEFORE, 0, BITS_SIZE);
  memory.fill(chunk + NOW, 0, BITS_SIZE);
  store<u32>(chunk, generation);
}

function has(bits: usize, hash: u64): bool {
  return bitAt(bits, firstBit(hash)) && bitAt(bits, secondBit(hash));
}

function firstBit(hash: u64): u32 {
  return ((hash >> 48) as u32) & BIT_MASK;
}

function secondBit(hash: u64): u32 {
  return ((hash >> 31) as u32) & BIT_MASK;
}

function bitAt(bits: usize, bit: u32): bool {
  return ((load<u8>(bits + (bit >> 3)) >> ((bit & 7) as u8)) & 1) !== 0;
}

function setBit(bits: usize, bit: u32): void {
  const at = bits + (bit >> 3);
  store<u8>(at, load<u8>(at) | (((1 as u32) << (bit & 7)) as u8));
}
