import { ascii, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { sipHash128, sipHigh, sipLow } from '../../filters/trace-propagation/siphash';

const K0: u64 = 0x0706050403020100;
const K1: u64 = 0x0f0e0d0c0b0a0908;

/** The bytes 0, 1, 2, …, as in the test vectors that the authors of SipHash published for their reference code. */
function counting(length: i32): Slice {
  const pointer = heap.alloc(max(length, 1));
  for (let i = 0; i < length; i++) store<u8>(pointer + i, i as u8);
  return slice(pointer, length);
}

function expectHash(length: i32, low: u64, high: u64): void {
  sipHash128(counting(length), K0, K1);
  expect<u64>(sipLow()).toBe(low);
  expect<u64>(sipHigh()).toBe(high);
}

describe('SipHash-2-4-128', () => {
  it('agrees with the published vectors', () => {
    expectHash(0, 0xe6a825ba047f81a3, 0x930255c71472f66d);
    expectHash(1, 0x44af996bd8c187da, 0x45fc229b11597634);
    expectHash(7, 0x53c1dbd8beebf1a1, 0x3982f01fa64ab8c0);
    expectHash(8, 0x61f55862baa9623b, 0xb49714f364e2830f);
    expectHash(15, 0x11a8b03399e99354, 0xd9c3cf970fec087e);
    expectHash(63, 0x4a83502f77d15051, 0x7cbd3f979a063e50);
  });

  it('ignores letter case, and only that of ASCII letters', () => {
    sipHash128(ascii('AZaz@[`{é-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ'), K0, K1);
    const low = sipLow();
    const high = sipHigh();
    sipHash128(ascii('azaz@[`{é-0123456789-abcdefghijklmnopqrstuvwxyz'), K0, K1);
    expect<u64>(sipLow()).toBe(low);
    expect<u64>(sipHigh()).toBe(high);
    sipHash128(ascii('azaz`{`{é-0123456789-abcdefghijklmnopqrstuvwxyz'), K0, K1);
    expect<bool>(sipLow() === low).toBe(false);
  });

  it('depends on both halves of the key', () => {
    sipHash128(ascii('id'), K0, K1);
    const low = sipLow();
    sipHash128(ascii('id'), K0 + 1, K1);
    expect<bool>(sipLow() === low).toBe(false);
    sipHash128(ascii('id'), K0, K1 + 1);
    expect<bool>(sipLow() === low).toBe(false);
  });
});
