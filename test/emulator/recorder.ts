import { nameIn, Status } from './status.ts';

/** One host call as the guest made it. */
export interface CallRecord {
  /** Label of the VM, see `VmOptions.label`. */
  readonly vm: string;
  /** Export that was running, e.g. `proxy_on_request_headers`; `_initialize` or `start section` before that. */
  readonly callback: string;
  /** Context that the callback was for. */
  readonly contextId: number;
  /** Host function, e.g. `proxy_get_header_map_value`. */
  readonly name: string;
  /** Decoded arguments: enum names, byte strings, numbers. */
  readonly args: (string | number | bigint)[];
  status: Status;
  /** Value handed back, when there is one. */
  result?: string | number | bigint;
}

/** `proxy_get_header_map_value(RequestHeaders, "x-a") = Ok "v"`: one line of a strict transcript. */
export function describeCall(call: CallRecord): string {
  const show = (value: string | number | bigint): string =>
    typeof value === 'string' && !/^[A-Z][A-Za-z]+$/.test(value) ? JSON.stringify(value) : String(value);
  const status = nameIn(Status, call.status);
  const result = call.result === undefined ? '' : ` ${show(call.result)}`;
  return `${call.name}(${call.args.map(show).join(', ')}) = ${status}${result}`;
}

/** Keeps the calls of a host: all counts, and the last records. */
export class Recorder {
  /** Off: only counts are kept (for fuzzing and long runs). */
  keep = true;
  #records: CallRecord[] = [];
  #counts = new Map<string, number>();
  #limit: number;

  constructor(limit = 20_000) {
    this.#limit = limit;
  }

  add(call: CallRecord): void {
    this.#counts.set(call.name, (this.#counts.get(call.name) ?? 0) + 1);
    if (!this.keep) return;
    this.#records.push(call);
    if (this.#records.length > this.#limit) this.#records.splice(0, this.#limit / 2);
  }

  /** Calls of `name` since the last `reset`; without a name, all calls. */
  count(name?: string): number {
    if (name !== undefined) return this.#counts.get(name) ?? 0;
    let sum = 0;
    for (const n of this.#counts.values()) sum += n;
    return sum;
  }

  /** Name → number of calls since the last `reset`. */
  counts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  /** Records, newest last, that fit the given fields. */
  records(filter: Partial<Pick<CallRecord, 'vm' | 'callback' | 'contextId' | 'name'>> = {}): CallRecord[] {
    return this.#records.filter((call) =>
      Object.entries(filter).every(([key, value]) => call[key as keyof CallRecord] === value),
    );
  }

  reset(): void {
    this.#records = [];
    this.#counts.clear();
  }

  /** Runs `action` and returns the calls made meanwhile, one line each: a strict transcript to compare as a whole. */
  during(action: () => void): string[] {
    const kept = this.keep;
    const before = this.#records;
    this.#records = [];
    this.keep = true;
    try {
      action();
      return this.#records.map(describeCall);
    } finally {
      this.#records = kept ? [...before, ...this.#records] : before;
      this.keep = kept;
    }
  }
}
