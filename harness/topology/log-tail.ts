import { open, stat } from 'node:fs/promises';

/** A line of a proxy's access log, as far as it is needed here. */
export interface LogLine {
  readonly role: string;
  readonly host: string | null;
  readonly path: string | null;
  readonly status: number;
  readonly ms: number;
  readonly wanted: string | null;
  readonly served: string | null;
  readonly instance: string | null;
}

/** At most so much of one log is read at a time; of what is beyond, the newest. */
const MOST_BYTES = 1 << 20;

/** Reads what is appended to an access log. Begins at its end. */
export class LogTail {
  private readonly path: string;
  private offset = -1;
  private inode = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Lines since the last call. No file is no line. */
  async read(): Promise<LogLine[]> {
    const stats = await stat(this.path).catch(() => undefined);
    if (stats === undefined) {
      // One that is made later is new from its beginning.
      if (this.offset < 0) this.offset = 0;
      return [];
    }
    if (this.offset < 0) this.offset = stats.size;
    else if (stats.size < this.offset || (this.inode !== 0 && stats.ino !== this.inode)) this.offset = 0;
    this.inode = stats.ino;
    const from = Math.max(this.offset, stats.size - MOST_BYTES);
    const length = stats.size - from;
    if (length === 0) return [];
    const file = await open(this.path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from);
      const bytes = buffer.subarray(0, bytesRead);
      const end = bytes.lastIndexOf(10) + 1;
      // What was skipped to may be in the middle of a line.
      const start = from > this.offset ? bytes.indexOf(10) + 1 : 0;
      this.offset = from + end;
      return bytes.subarray(start, end).toString('utf8').split('\n').flatMap(parseLine);
    } finally {
      await file.close();
    }
  }
}

/** A line that is none (a full disk cuts them) is left out. */
function parseLine(text: string): LogLine[] {
  if (text === '') return [];
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === 'object' && line !== null && 'role' in line ? [line as LogLine] : [];
  } catch {
    return [];
  }
}
