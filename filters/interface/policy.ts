import { equal, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { PathTemplate, splitPath } from './template';

/** One interface of a service: some methods, and paths of one form. */
@final
export class Interface {
  constructor(
    readonly name: string,
    /** Empty: all. */
    private readonly methods: StaticArray<u64>,
    private readonly template: PathTemplate,
  ) {}

  /** `splitPath` has been given the path. */
  fits(method: Slice): bool {
    return this.template.fits() && this.takes(method);
  }

  private takes(method: Slice): bool {
    const count = this.methods.length;
    for (let i = 0; i < count; i++) {
      if (equal(unchecked(this.methods[i]), method)) return true;
    }
    return count === 0;
  }
}

/** The interfaces of one service, at most 64, in the order in which they are tried. */
@final
export class InterfaceTable {
  constructor(private readonly entries: StaticArray<Interface>) {}

  /** Interfaces with the one that stands for what fits none: that one's index is `size - 1`. */
  get size(): i32 {
    return this.entries.length + 1;
  }

  /** Name of an interface for metrics; `other` stands for what fits none. */
  nameOf(index: i32): string {
    return index < this.entries.length ? this.entries[index].name : 'other';
  }

  /** Index of the interface of this name, or -1. For configuration. */
  indexOf(name: string): i32 {
    for (let i = 0; i < this.size; i++) {
      if (this.nameOf(i) === name) return i;
    }
    return -1;
  }

  /** Index of the first interface that fits; `size - 1` when none does. `path` with or without its query. Allocates nothing. */
  find(method: Slice, path: Slice): i32 {
    const count = this.entries.length;
    if (count === 0) return 0;
    splitPath(path);
    for (let i = 0; i < count; i++) {
      if (unchecked(this.entries[i]).fits(method)) return i;
    }
    return count;
  }
}
