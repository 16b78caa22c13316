/**
 * How a filter of the suite is configured: alone, by a `root_id` of its own name, or as a section of the fused suite.
 * Either way its configuration has passed the schema before the filter sees it, with every default filled in.
 */
import { HttpPlugin, lenOf, logCritical, Slice, setTickPeriod, slice } from 'proxy-wasm-assemblyscript-sdk';
import { Json, parseError, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { validate } from 'proxy-wasm-assemblyscript-sdk/config/validate';
import { beginWanted, commitWanted } from './agent/blob';
import { beginConfiguration, undoConfiguration } from './exchange';
import { SCHEMA } from './schema.gen';

/** Period of the tick that hands metrics over; a filter may ask for a shorter one, of which this is a multiple. */
export const TICK_MS: u32 = 1000;

const NO_KEYS = memory.data<u8>([0x7b, 0x7d]);

let schemas: Json | null = null;

/** Parses and checks a configuration against the schema `name`; null after saying at critical level what is wrong. */
export function readConfiguration(bytes: Slice, name: string): Json | null {
  const given = lenOf(bytes) === 0 ? slice(NO_KEYS, 2) : bytes;
  const value = parseJson(given);
  if (value === null) {
    refuse(`${name}: ${parseError()}`);
    return null;
  }
  if (schemas === null) schemas = parseJson(SCHEMA);
  const known = schemas;
  if (known === null) {
    refuse(`${name}: the module's own schema cannot be read: ${parseError()}`);
    return null;
  }
  const problem = validate(known, name, value, name);
  if (problem === null) return value;
  refuse(problem);
  return null;
}

/** Says why a configuration is not taken; Envoy itself only says that the plugin cannot be created. */
export function refuse(why: string): void {
  logCritical(`causeway: ${why}`);
}

export abstract class FilterPlugin extends HttpPlugin {
  /** The filter's name: its `root_id`, its section in the suite and its schema. */
  abstract filterName(): string;

  /** Takes over a checked section. False refuses it for what a schema cannot say, after `refuse` has told why. */
  abstract configure(section: Json): bool;

  /** The tick period that the filter wishes for, once it is configured. */
  tickMs(): u32 {
    return TICK_MS;
  }

  /** Every tick, whose period is the shortest that any filter of the context wishes for. */
  onFastTick(): void {}

  /** Every second. */
  onSecond(): void {}

  private divider: TickDivider = new TickDivider();

  onTick(): void {
    this.housekeeping = this.divider.due();
    this.onFastTick();
    if (this.housekeeping) this.onSecond();
  }

  onConfigure(configuration: Slice): bool {
    const section = readConfiguration(configuration, this.filterName());
    if (section === null) return false;
    beginConfiguration();
    beginWanted();
    if (!this.configure(section)) {
      undoConfiguration();
      return false;
    }
    commitWanted();
    this.divider.start(this.tickMs());
    return true;
  }
}

/** Makes seconds out of shorter ticks. */
@final
export class TickDivider {
  private each: u32 = 1;
  private passed: u32 = 0;

  /** Sets the tick of the root context that is being configured. */
  start(period: u32): void {
    this.each = max<u32>(1, TICK_MS / max<u32>(1, period));
    setTickPeriod(period);
  }

  /** True once a second. To be called once a tick. */
  due(): bool {
    this.passed++;
    if (this.passed < this.each) return false;
    this.passed = 0;
    return true;
  }
}
