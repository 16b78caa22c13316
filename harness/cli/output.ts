import colors from 'picocolors';

export interface Streams {
  readonly out: NodeJS.WritableStream;
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

/**
 * Results on standard output, progress and errors on standard error. With `--json` exactly one JSON object goes to
 * standard output; without a terminal progress is plain lines; on one it is a line that is written over.
 */
export class Output {
  readonly json: boolean;
  private readonly streams: Streams;
  private readonly start = performance.now();
  /** A progress line stands on the terminal without its newline. */
  private open = false;

  constructor(json: boolean, streams: Streams = { out: process.stdout, err: process.stderr }) {
    this.json = json;
    this.streams = streams;
  }

  readonly progress = (line: string): void => {
    if (this.json) return;
    const { err } = this.streams;
    const seconds = ((performance.now() - this.start) / 1000).toFixed(1).padStart(5);
    if (!err.isTTY) {
      err.write(`${seconds} s  ${line}\n`);
      return;
    }
    const room = (err.columns ?? 80) - 10;
    const shown = line.length > room ? `${line.slice(0, room - 1)}…` : line;
    err.write(`\r\u001b[K${colors.dim(`${seconds} s  ${shown}`)}`);
    this.open = true;
  };

  /** A result: text for people, data for machines. Called once by each command. */
  result(text: string, data: object): void {
    this.closeLine();
    this.streams.out.write(this.json ? `${JSON.stringify({ ok: true, ...data })}\n` : withNewline(text));
  }

  failure(message: string, data: object = {}): void {
    this.closeLine();
    if (this.json) this.streams.out.write(`${JSON.stringify({ ok: false, error: message, ...data })}\n`);
    else this.streams.err.write(withNewline(this.streams.err.isTTY ? colors.red(message) : message));
  }

  /** Further text for people. */
  note(text: string): void {
    if (this.json) return;
    this.closeLine();
    this.streams.out.write(withNewline(text));
  }

  closeLine(): void {
    if (!this.open) return;
    this.streams.err.write('\r\u001b[K');
    this.open = false;
  }
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
