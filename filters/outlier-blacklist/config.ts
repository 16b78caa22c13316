/** From a section that the schema has accepted to what requests and ticks use. Nothing is left to refuse. */
import { ascii, hash64, NONE, present, Slice, text } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { NameTable } from '../lane-fallback/name-table';
import { lowerCase } from '../trace-propagation/config';
import { Law } from './policy';

const DEFAULT_PATH = ascii('/health');

@final
export class OutlierService {
  /** Stands for the service in keys and records. */
  readonly id: u64;
  readonly label: string;

  constructor(
    readonly name: Slice,
    readonly grpc: bool,
    /** `NONE`: not hash-balanced. */
    readonly hashHeader: Slice,
    /** `NONE`: hosts are not probed. */
    readonly probeCluster: Slice,
    readonly probePath: Slice,
    /** Configured hosts; none: those that answer. */
    readonly hosts: Json[],
  ) {
    this.id = hash64(name);
    this.label = text(name).replaceAll('.', '_');
  }
}

@final
export class OutlierConfig {
  readonly services: OutlierService[] = [];

  constructor(
    /** Owns the bytes of every name. */
    readonly section: Json,
    readonly law: Law,
    readonly baseline: Slice,
    readonly authorities: NameTable,
  ) {}

  /** Number of the service with this id; -1 of none. */
  numberOf(id: u64): i32 {
    for (let i = 0; i < this.services.length; i++) if (this.services[i].id === id) return i;
    return -1;
  }
}

export function compileConfig(section: Json): OutlierConfig {
  const services = section.itemsOf('services');
  let names = 0;
  for (let i = 0; i < services.length; i++) names += services[i].itemsOf('authorities').length;
  const table = new NameTable(names, true);
  const law = new Law(
    section.numberOf('errorPercent', 20) / 100,
    milliseconds(section, 'coolDownSeconds', 30),
    milliseconds(section, 'maxCoolDownSeconds', 300),
    milliseconds(section, 'stepSeconds', 10),
    section.numberOf('maxOutPercent', 50) as i32,
  );
  const config = new OutlierConfig(section, law, section.textOf('baseline'), table);
  for (let i = 0; i < services.length; i++) {
    const authorities = services[i].itemsOf('authorities');
    for (let j = 0; j < authorities.length; j++) table.add(authorities[j].text, i);
    config.services.push(serviceOf(services[i]));
  }
  return config;
}

function milliseconds(section: Json, key: string, fallback: f64): i64 {
  return (section.numberOf(key, fallback) * 1000) as i64;
}

function serviceOf(service: Json): OutlierService {
  const header = service.textOf('hashHeader');
  const probe = service.get('probe');
  const path = probe === null ? NONE : probe.textOf('path');
  return new OutlierService(
    service.textOf('name'),
    service.boolOf('grpc', false),
    present(header) ? lowerCase(header) : NONE,
    probe === null ? NONE : probe.textOf('cluster'),
    present(path) ? path : DEFAULT_PATH,
    service.itemsOf('hosts'),
  );
}
