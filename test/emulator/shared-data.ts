import { Status } from './status.ts';

interface Entry {
  readonly value: string;
  readonly cas: number;
}

/**
 * Envoy's process-wide store: one map per vm_id, no delete, no expiry.
 *
 * `set` with cas 0 overwrites; with any other cas it succeeds when the key is absent (the first creation is not
 * checked) or when the number is the entry's current one. The numbers come from one counter of the whole process.
 */
export class SharedData {
  #data = new Map<string, Map<string, Entry>>();
  #lastCas = 0;

  get(vmId: string, key: string): Entry | undefined {
    return this.#data.get(vmId)?.get(key);
  }

  set(vmId: string, key: string, value: string, cas: number): Status {
    let map = this.#data.get(vmId);
    if (map === undefined) {
      map = new Map();
      this.#data.set(vmId, map);
    }
    const found = map.get(key);
    if (found !== undefined && cas !== 0 && cas !== found.cas) return Status.CasMismatch;
    map.set(key, { value, cas: this.#nextCas() });
    return Status.Ok;
  }

  /** Keys of one vm_id in order of creation: what a test may count, a plugin can not. */
  keys(vmId: string): string[] {
    return [...(this.#data.get(vmId)?.keys() ?? [])];
  }

  /** Bytes of all keys and values of one vm_id. */
  bytes(vmId: string): number {
    let sum = 0;
    for (const [key, entry] of this.#data.get(vmId) ?? []) sum += key.length + entry.value.length;
    return sum;
  }

  /** What happens when the last VM of that id is gone. */
  drop(vmId: string): void {
    this.#data.delete(vmId);
  }

  /** Zero is never given out: it would mean "overwrite" when it comes back. */
  #nextCas(): number {
    this.#lastCas = this.#lastCas === 0xffffffff ? 1 : this.#lastCas + 1;
    return this.#lastCas;
  }
}
