import { connect, type Socket } from 'node:net';
import { OUTCOME } from './record.ts';

/** Called once per request, with its answer's status or an {@link OUTCOME}. */
export type Ended = (status: number) => void;

/** Filled by the kernel and read within one callback, so all connections can share it. */
const incoming = Buffer.alloc(64 * 1_024);

/** One keep-alive HTTP/1.1 connection with at most one request in flight. Answers need a content-length. */
export class Connection {
  private readonly socket: Socket;
  private readonly closed: (connection: Connection) => void;
  private ended: Ended | null = null;
  private text = '';
  /** The peer asked to close, or a request was given up. */
  private over = false;

  /** `closed` is called once, when the connection can take no further request. */
  constructor(address: string, port: number, closed: (connection: Connection) => void) {
    this.closed = closed;
    this.socket = connect({
      host: address,
      port,
      noDelay: true,
      onread: { buffer: incoming, callback: (size, buffer) => this.read(buffer as Buffer, size) },
    });
    this.socket.on('error', () => this.close());
    this.socket.on('close', () => this.close());
  }

  get usable(): boolean {
    return !this.over && this.ended === null;
  }

  send(head: string, ended: Ended): void {
    this.ended = ended;
    this.socket.write(head, 'latin1');
  }

  /** Closes the connection under its request, as a caller does whose patience has ended. */
  giveUp(): void {
    this.finish(OUTCOME.gaveUp);
    this.close();
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.socket.destroy();
    this.closed(this);
    this.finish(OUTCOME.broken);
  }

  private finish(status: number): void {
    const ended = this.ended;
    this.ended = null;
    ended?.(status);
  }

  private read(buffer: Buffer, size: number): boolean {
    this.text += buffer.toString('latin1', 0, size);
    const headEnd = this.text.indexOf('\r\n\r\n');
    if (headEnd === -1) return true;
    const head = this.text.slice(0, headEnd).toLowerCase();
    const length = /\r\ncontent-length: (\d+)/.exec(head);
    if (length === null) {
      this.close();
      return true;
    }
    if (this.text.length < headEnd + 4 + Number(length[1])) return true;
    this.text = '';
    const ended = this.ended;
    this.ended = null;
    if (head.includes('\r\nconnection: close')) this.close();
    ended?.(Number(head.slice(9, 12)));
    return true;
  }
}
