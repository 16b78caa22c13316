import { bytesOf, u32le, u64le } from './bytes.ts';
import { Misuse } from './errors.ts';
import { Status } from './status.ts';

/** Linear memory of one VM, every access checked. */
export class GuestMemory {
  #memory: WebAssembly.Memory;
  #allocate: (size: number) => number;

  /** @param allocate calls the guest's allocator; 0 means that it has no memory */
  constructor(memory: WebAssembly.Memory, allocate: (size: number) => number) {
    this.#memory = memory;
    this.#allocate = allocate;
  }

  /** Size in bytes. */
  get size(): number {
    return this.#memory.buffer.byteLength;
  }

  /** @throws Misuse when any byte is outside memory */
  read(pointer: number, length: number): string {
    this.#check(pointer, length, 'read');
    return Buffer.from(this.#memory.buffer, pointer, length).toString('latin1');
  }

  /** @throws Misuse when any byte is outside memory */
  write(pointer: number, data: string): void {
    this.#check(pointer, data.length, 'write');
    new Uint8Array(this.#memory.buffer, pointer, data.length).set(bytesOf(data));
  }

  writeU32(pointer: number, value: number): void {
    this.write(pointer, u32le(value));
  }

  writeU64(pointer: number, value: bigint): void {
    this.write(pointer, u64le(value));
  }

  /**
   * Hands bytes to the guest: allocates in it, copies, stores pointer and size where the guest asked.
   * No bytes are pointer 0 and size 0 without an allocation.
   */
  give(data: string, pointerAt: number, sizeAt: number): void {
    const pointer = data.length === 0 ? 0 : this.place(data);
    this.writeU32(pointerAt, pointer);
    this.writeU32(sizeAt, data.length);
  }

  /** Allocates in the guest and copies. @throws Misuse when the allocator gives 0 or an address outside memory */
  place(data: string): number {
    const pointer = this.#allocate(data.length);
    if (pointer === 0) {
      throw new Misuse(Status.InvalidMemoryAccess, `the allocator gave null for ${data.length} bytes`);
    }
    this.write(pointer, data);
    return pointer;
  }

  #check(pointer: number, length: number, what: string): void {
    if (pointer + length > this.size) {
      throw new Misuse(
        Status.InvalidMemoryAccess,
        `${what} of ${length} bytes at 0x${pointer.toString(16)}: outside memory of ${this.size} bytes`,
      );
    }
  }
}
