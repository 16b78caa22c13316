/** A request's headers as the reference model sees them: binary strings, names in lower case. */
export type Header = readonly [name: string, value: string];

/** What Envoy tells of a request beside its headers. */
export interface Connection {
  /** `address:port`; undefined on a Unix socket. */
  readonly sourceAddress?: string | undefined;
  /** First URI name in the caller's certificate. */
  readonly uriName?: string | undefined;
  readonly subject?: string | undefined;
}

export class RequestHeaders {
  #pairs: Header[];

  constructor(pairs: readonly Header[]) {
    this.#pairs = [...pairs];
  }

  values(name: string): string[] {
    return this.#pairs.filter(([other]) => other === name).map(([, value]) => value);
  }

  /** All values joined with a comma; undefined where there is none. */
  joined(name: string): string | undefined {
    const values = this.values(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  first(name: string): string | undefined {
    return this.values(name)[0];
  }

  /** Replaces every value. */
  set(name: string, value: string): void {
    this.remove(name);
    this.#pairs.push([name, value]);
  }

  remove(name: string): void {
    this.#pairs = this.#pairs.filter(([other]) => other !== name);
  }

  /** Name to values in their order, sorted by name: what two header lists must have in common to be equal. */
  sorted(): [name: string, values: string[]][] {
    return sortedHeaders(this.#pairs);
  }
}

export function sortedHeaders(pairs: readonly Header[]): [name: string, values: string[]][] {
  const byName = new Map<string, string[]>();
  for (const [name, value] of pairs) byName.set(name, [...(byName.get(name) ?? []), value]);
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Where a request of the model counts what happens to it. */
export class Counts {
  readonly values = new Map<string, number>();

  add(name: string, by = 1): void {
    this.values.set(name, (this.values.get(name) ?? 0) + by);
  }
}

/** A label of a metric: a dot would end it. */
export function label(name: string): string {
  return name.replaceAll('.', '_');
}

/** A Kubernetes label value: what a tag has to be. */
export function isTag(value: string): boolean {
  return value.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(value) && !value.endsWith('\n');
}
