import { readFileSync, writeFileSync } from 'node:fs';

/** What became of a request, in place of a status: its caller gave up, or the connection broke. */
export const OUTCOME = { gaveUp: 0, broken: 1 } as const;

/** One request as its caller saw it. */
export interface Request {
  /** When it should have been sent, milliseconds since the load began. */
  readonly at: number;
  /** From then until its answer or its end, milliseconds. */
  readonly tookMs: number;
  /** Status of its answer, or an {@link OUTCOME}. */
  readonly status: number;
  /** Index of its stream. */
  readonly stream: number;
  readonly core: boolean;
}

const FIELDS = 4;

/** Everything that a load generator saw, one row for each request in the order of arrival. */
export class LoadRecord {
  private rows: Float64Array;
  private count = 0;

  constructor(expected: number) {
    this.rows = new Float64Array(FIELDS * Math.max(1_024, Math.ceil(expected * 1.2)));
  }

  /** Adds a request whose outcome is not known yet; answers its number. */
  add(at: number, stream: number, core: boolean): number {
    if ((this.count + 1) * FIELDS > this.rows.length) {
      const rows = new Float64Array(2 * this.rows.length);
      rows.set(this.rows);
      this.rows = rows;
    }
    const row = this.count * FIELDS;
    this.rows[row] = at;
    this.rows[row + 3] = stream * 2 + (core ? 1 : 0);
    return this.count++;
  }

  end(number: number, tookMs: number, status: number): void {
    this.rows[number * FIELDS + 1] = tookMs;
    this.rows[number * FIELDS + 2] = status;
  }

  requests(): Request[] {
    return requestsOf(this.rows.subarray(0, this.count * FIELDS));
  }

  save(file: string): void {
    writeFileSync(file, new Uint8Array(this.rows.buffer, 0, this.count * FIELDS * 8));
  }
}

export function readRecord(file: string): Request[] {
  const bytes = readFileSync(file);
  return requestsOf(new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
}

function requestsOf(rows: Float64Array): Request[] {
  return Array.from({ length: rows.length / FIELDS }, (_, n) => {
    const [at = 0, tookMs = 0, status = 0, source = 0] = rows.subarray(n * FIELDS, (n + 1) * FIELDS);
    return { at, tookMs, status, stream: source >> 1, core: (source & 1) === 1 };
  });
}
