import { Counter, counter } from 'proxy-wasm-assemblyscript-sdk';
import { label } from '../lane-fallback/config';

const PREFIX = 'causeway_connection_elimination_';

/** What the filter counts, by service number; README.md explains each. Made at configure time: a definition is a host call. */
@final
export class EliminationMetrics {
  readonly tls: StaticArray<Counter>;
  readonly plain: StaticArray<Counter>;
  readonly mismatch: StaticArray<Counter>;
  readonly failed: StaticArray<Counter>;
  readonly returned: StaticArray<Counter>;

  constructor(names: StaticArray<u64>) {
    this.tls = each('requests_total.result.tls', names);
    this.plain = each('requests_total.result.plain', names);
    this.mismatch = each('mismatch_total', names);
    this.failed = each('handshake_failed_total', names);
    this.returned = each('returned_total', names);
  }
}

function each(event: string, names: StaticArray<u64>): StaticArray<Counter> {
  const made = new StaticArray<Counter>(names.length);
  for (let i = 0; i < names.length; i++) made[i] = counter(`${PREFIX}${event}.service.${label(names[i])}`);
  return made;
}

/** Connections that the upstream part has retired. */
export function retiredCounter(): Counter {
  return counter(PREFIX + 'retired_total');
}
