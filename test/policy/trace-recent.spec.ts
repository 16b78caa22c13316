import { mix64, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import {
  CHUNK_SIZE,
  CHUNKS,
  chunkOf,
  clearChunk,
  isChunk,
  isRecent,
  noteRecent,
} from '../../filters/trace-propagation/recent';

const chunk = heap.alloc(CHUNK_SIZE);

describe('recent ids', () => {
  beforeEach(() => {
    clearChunk(chunk);
  });

  it('are known for this generation and the next', () => {
    expect<bool>(noteRecent(chunk, 0x123456789abcdef0, 5)).toBe(true);
    expect<bool>(isRecent(chunk, 0x123456789abcdef0, 5)).toBe(true);
    expect<bool>(isRecent(chunk, 0x123456789abcdef0, 6)).toBe(true);
    expect<bool>(isRecent(chunk, 0x123456789abcdef0, 7)).toBe(false);
    expect<bool>(isRecent(chunk, 0xfedcba9876543210, 5)).toBe(false);
  });

  it('rotate when the next generation writes', () => {
    noteRecent(chunk, mix64(1), 5);
    noteRecent(chunk, mix64(2), 6);
    expect<bool>(isRecent(chunk, mix64(1), 6)).toBe(true);
    expect<bool>(isRecent(chunk, mix64(2), 6)).toBe(true);
    noteRecent(chunk, mix64(3), 7);
    expect<bool>(isRecent(chunk, mix64(1), 7)).toBe(false);
    expect<bool>(isRecent(chunk, mix64(2), 7)).toBe(true);
    noteRecent(chunk, mix64(4), 9);
    expect<bool>(isRecent(chunk, mix64(3), 9)).toBe(false, 'a silent generation empties both');
  });

  it('need no second write in a generation', () => {
    noteRecent(chunk, mix64(1), 5);
    expect<bool>(noteRecent(chunk, mix64(1), 5)).toBe(false);
    expect<bool>(noteRecent(chunk, mix64(1), 6)).toBe(true);
  });

  it('stand a worker whose clock is a generation behind', () => {
    noteRecent(chunk, mix64(1), 6);
    expect<bool>(isRecent(chunk, mix64(1), 5)).toBe(true);
    noteRecent(chunk, mix64(2), 5);
    expect<bool>(isRecent(chunk, mix64(1), 6)).toBe(true);
    expect<bool>(isRecent(chunk, mix64(2), 6)).toBe(true);
  });

  it('are mistaken seldom', () => {
    for (let i = 0; i < 32; i++) noteRecent(chunk, mix64(i), 5);
    let wrong = 0;
    for (let i = 1000; i < 11000; i++) wrong += isRecent(chunk, mix64(i), 5) ? 1 : 0;
    // 64 of 512 bits set: (1/8)^2 = 1.6 %.
    expect<i32>(wrong).toBeLessThan(300);
  });

  it('use every chunk', () => {
    const used = new StaticArray<bool>(CHUNKS);
    for (let i = 0; i < 10000; i++) used[chunkOf(mix64(i))] = true;
    for (let i = 0; i < CHUNKS; i++) expect<bool>(used[i]).toBe(true);
  });

  it('are told from other bytes', () => {
    expect<bool>(isChunk(slice(chunk, CHUNK_SIZE))).toBe(true);
    expect<bool>(isChunk(slice(chunk, CHUNK_SIZE - 1))).toBe(false);
    store<u8>(chunk, 9, 4);
    expect<bool>(isChunk(slice(chunk, CHUNK_SIZE))).toBe(false);
  });
});
