import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Interface, InterfaceTable } from './policy';
import { PathTemplate } from './template';

/** Compiles a list that the schema (interface.schema.ts) has accepted. The table points into the list's document: keep both. */
export function compileInterfaces(items: Json[]): InterfaceTable {
  const entries = new StaticArray<Interface>(items.length);
  for (let i = 0; i < items.length; i++) {
    const named = items[i].itemsOf('methods');
    const methods = new StaticArray<u64>(named.length);
    for (let m = 0; m < named.length; m++) methods[m] = named[m].text;
    entries[i] = new Interface(text(items[i].textOf('name')), methods, new PathTemplate(items[i].textOf('template')));
  }
  return new InterfaceTable(entries);
}
