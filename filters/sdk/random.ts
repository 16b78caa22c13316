import { random_get } from './abi/imports';

/** Fills `size` bytes at `pointer` with the host's secure randomness. Not in the start section. */
export function randomBytes(pointer: usize, size: usize): bool {
  return random_get(pointer, size) === 0;
}
