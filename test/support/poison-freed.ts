import type binaryen from 'assemblyscript/binaryen';

const FREE = '~lib/rt/tlsf/__free';
const HEAP_BASE = '~lib/memory/__heap_base';
const POISON = 0xa5;
/** Size and flags of a block, before its first byte; the lowest two bits are the flags. */
const HEADER = 4;
const SIZE_MASK = ~3;

/**
 * An asc transform that overwrites every block of memory when it is freed, by the collector or by hand, so that whoever
 * still has its address reads 0xa5. asc sets the fields on the prototype.
 */
export class PoisonFreed {
  declare readonly binaryen: typeof binaryen;

  afterCompile(module: binaryen.Module): void {
    const { i32, none } = this.binaryen;
    const found = module.getFunction(FREE);
    if (found === 0) throw new Error(`no ${FREE} in the module: is its memory managed in another way?`);
    const info = this.binaryen.getFunctionInfo(found);
    const pointer = (): number => module.local.get(0, i32);
    const header = module.i32.load(0, 4, module.i32.sub(pointer(), module.i32.const(HEADER)));
    const size = module.i32.and(header, module.i32.const(SIZE_MASK));
    // Static objects are "freed" too; they stay as they are.
    const onHeap = module.i32.ge_u(pointer(), module.global.get(HEAP_BASE, i32));
    const poison = module.if(onHeap, module.memory.fill(pointer(), module.i32.const(POISON), size));
    module.removeFunction(FREE);
    module.addFunction(FREE, info.params, info.results, info.vars, module.block(null, [poison, info.body], none));
  }
}
