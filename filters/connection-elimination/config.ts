/** From a section that the schema has accepted, defaults filled in, to tables. Nothing is left to refuse. */
import { lenOf, Slice, startsWith } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { NameTable, UNKNOWN } from '../lane-fallback/name-table';
import { Share } from '../lane-fallback/policy';
import { Mode, ServiceTls } from './policy';

@final
export class EliminationConfig {
  readonly services: StaticArray<ServiceTls>;
  /** By service number. */
  readonly names: StaticArray<u64>;
  /** Its cluster serves both states: what is expected stands in the host's metadata. */
  readonly shared: StaticArray<bool>;
  /** From an authority to the number of its service. */
  readonly authorities: NameTable;
  /** Path prefixes, the longest first, with the number of the service of each. */
  private readonly prefixes: StaticArray<u64>;
  private readonly owners: StaticArray<i32>;

  constructor(
    /** Owns the bytes of every name. */
    readonly section: Json,
    readonly byPath: bool,
  ) {
    const items = section.itemsOf('services');
    const count = items.length;
    const returnMs = (section.numberOf('returnSeconds', 30) as u64) * 1000;
    const services = new StaticArray<ServiceTls>(count);
    const names = new StaticArray<u64>(count);
    const shared = new StaticArray<bool>(count);
    let hosts = 0;
    let paths = 0;
    for (let i = 0; i < count; i++) {
      const item = items[i];
      const name = item.textOf('name');
      names[i] = name;
      services[i] = new ServiceTls(modeOf(item), new Share(item.numberOf('percent', 0), name), returnMs);
      const pools = item.get('pools');
      shared[i] = pools !== null && pools.is('one');
      hosts += item.itemsOf('authorities').length;
      paths += item.itemsOf('prefixes').length;
    }
    const table = new NameTable(hosts, true);
    const prefixes = new StaticArray<u64>(paths);
    const owners = new StaticArray<i32>(paths);
    let filled = 0;
    for (let i = 0; i < count; i++) {
      const authorities = items[i].itemsOf('authorities');
      for (let j = 0; j < authorities.length; j++) table.add(authorities[j].text, i);
      const own = items[i].itemsOf('prefixes');
      for (let j = 0; j < own.length; j++) {
        const prefix = own[j].text;
        let at = filled++;
        while (at > 0 && lenOf(prefixes[at - 1]) < lenOf(prefix)) {
          prefixes[at] = prefixes[at - 1];
          owners[at] = owners[at - 1];
          at--;
        }
        prefixes[at] = prefix;
        owners[at] = i;
      }
    }
    this.services = services;
    this.names = names;
    this.shared = shared;
    this.authorities = table;
    this.prefixes = prefixes;
    this.owners = owners;
  }

  /** The service to which a gateway routes this path, or `UNKNOWN`. */
  ofPath(path: Slice): i32 {
    const prefixes = this.prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      if (startsWith(path, unchecked(prefixes[i]))) return unchecked(this.owners[i]);
    }
    return UNKNOWN;
  }
}

function modeOf(item: Json): Mode {
  const mode = item.get('mode');
  if (mode === null || mode.is('off')) return Mode.Off;
  return mode.is('on') ? Mode.On : Mode.Canary;
}
