import type binaryen from 'assemblyscript/binaryen';

/** Exported globals of a counting build: calls since the module started. */
export const GC_ALLOCATIONS = 'count_gc_allocations';
export const HEAP_ALLOCATIONS = 'count_heap_allocations';

const COUNTED: Readonly<Record<string, string>> = {
  // Every managed object, string and array, also when it is made inside the standard library: by runtime.
  '~lib/rt/itcms/__new': GC_ALLOCATIONS,
  '~lib/rt/tcms/__new': GC_ALLOCATIONS,
  // Every block of memory, managed or not.
  '~lib/rt/tlsf/__alloc': HEAP_ALLOCATIONS,
};

/**
 * An asc transform that counts what the compiled module allocates. It works on the code before optimisation, so that no
 * inlining hides a call. asc sets the fields on the prototype.
 */
export class CountAllocations {
  declare readonly binaryen: typeof binaryen;

  afterCompile(module: binaryen.Module): void {
    const { i32 } = this.binaryen;
    for (const counter of new Set(Object.values(COUNTED))) {
      module.addGlobal(counter, i32, true, module.i32.const(0));
      module.addGlobalExport(counter, counter);
    }
    for (const [name, counter] of Object.entries(COUNTED)) {
      const found = module.getFunction(name);
      if (found === 0) continue;
      const info = this.binaryen.getFunctionInfo(found);
      const counted = module.block(
        null,
        [module.global.set(counter, module.i32.add(module.global.get(counter, i32), module.i32.const(1))), info.body],
        info.results,
      );
      module.removeFunction(name);
      module.addFunction(name, info.params, info.results, info.vars, counted);
    }
  }
}
