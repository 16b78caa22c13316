import { type Bytes, binary } from './bytes.ts';
import { Misuse } from './errors.ts';
import { INLINE_HEADERS } from './inline-headers.ts';
import type { Pair } from './pairs.ts';
import { Status } from './status.ts';

/** Headers as tests write them. Names are lower-cased, as Envoy does. */
export type HeaderList = readonly (readonly [name: Bytes, value: Bytes])[];

/** ASCII only: bytes above 0x7f keep their value. */
function lower(name: string): string {
  return !/[A-Z]/.test(name) ? name : name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** An ordered multimap of lower-cased names to byte values, with Envoy's answers for duplicates. */
export class HeaderMap {
  #entries: [string, string][] = [];

  constructor(headers: HeaderList = []) {
    for (const [name, value] of headers) this.add(binary(name), binary(value));
  }

  /** All values of `name`, joined by a comma; undefined when absent. What the property `request.headers.<name>` gives. */
  get(name: string): string | undefined {
    const values = this.values(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  /** The first value only: what Envoy hands to a plugin that asks for the header. Undefined when absent. */
  first(name: string): string | undefined {
    const key = lower(name);
    return this.#entries.find(([n]) => n === key)?.[1];
  }

  /** Each value of `name` in order. */
  values(name: string): string[] {
    const key = lower(name);
    return this.#entries.filter(([n]) => n === key).map(([, v]) => v);
  }

  has(name: string): boolean {
    return this.first(name) !== undefined;
  }

  add(name: string, value: string): void {
    const key = lower(name);
    const existing = INLINE_HEADERS.has(key) ? this.#entries.find(([n]) => n === key) : undefined;
    if (existing === undefined) this.#entries.push([key, value]);
    else existing[1] += `,${value}`;
  }

  /** Replaces the first value and drops the others; adds when absent. */
  set(name: string, value: string): void {
    const key = lower(name);
    const first = this.#entries.find(([n]) => n === key);
    if (first === undefined) {
      this.add(key, value);
      return;
    }
    first[1] = value;
    this.#entries = this.#entries.filter((entry) => entry === first || entry[0] !== key);
  }

  remove(name: string): void {
    const key = lower(name);
    this.#entries = this.#entries.filter(([n]) => n !== key);
  }

  replaceAll(pairs: readonly Pair[]): void {
    this.#entries = [];
    for (const [name, value] of pairs) this.add(name, value);
  }

  pairs(): Pair[] {
    return this.#entries.map(([name, value]) => [name, value]);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Sum of the lengths of all names and values, in bytes. */
  get byteSize(): number {
    return this.#entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  }

  /** Names to joined values: for assertions. */
  toObject(): Record<string, string> {
    const result: Record<string, string> = {};
    for (const [name] of this.#entries) result[name] = this.get(name) ?? '';
    return result;
  }
}

/**
 * @throws Misuse for a name or value that would break a message on the wire. Envoy checks this in debug builds only,
 * so in production it is header injection.
 */
export function checkHeader(name: string, value: string): void {
  if (name.length === 0) throw new Misuse(Status.Ok, 'header with an empty name');
  for (const [what, text] of [
    ['name', name],
    ['value', value],
  ] as const) {
    for (const character of ['\0', '\r', '\n']) {
      if (text.includes(character)) {
        throw new Misuse(Status.Ok, `header ${what} with a control byte: ${JSON.stringify(`${name}: ${value}`)}`);
      }
    }
  }
}
