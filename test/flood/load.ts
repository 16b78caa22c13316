import { connect, type Socket } from 'node:net';

/** What the flood has done so far. */
export interface FloodCount {
  sent: number;
  answered: number;
  /** Answers other than 200, and requests whose connection broke. */
  failed: number;
}

export interface FloodPlan {
  readonly port: number;
  /** Distinct ids to send, one request each. */
  readonly ids: number;
  /** Of ten requests, this many are held open. */
  readonly heldOfTen: number;
  readonly holdMs: number;
  readonly holdHeader: string;
}

/** Connections that send one request after another. No pipelining: Envoy leaves a third request that it answers itself lying. */
const BUSY = 256;
/** Most requests held open at once; reached only above 30,000 requests a second. */
const MOST_HELD = 6000;
const END = Buffer.from('\r\n\r\n');
const ZERO = 0x30;

/** Sends every id of the plan as fast as Envoy answers. Resolves when all requests are answered or have failed. */
export function flood(plan: FloodPlan, count: FloodCount): Promise<void> {
  return new Promise((resolve) => {
    const fast = new IdWriter('');
    const held = new IdWriter(`${plan.holdHeader}: ${plan.holdMs}\r\n`);
    const idle: Client[] = [];
    const clients = new Set<Client>();
    let sentHeld = 0;
    let heldOpen = 0;

    const settle = (): void => {
      if (count.sent < plan.ids || count.answered + count.failed < count.sent) return;
      for (const client of clients) client.close();
      resolve();
    };
    const holdSome = (): void => {
      while (sentHeld * 10 < count.sent * plan.heldOfTen && count.sent < plan.ids && heldOpen < MOST_HELD) {
        const client = idle.pop() ?? open();
        sentHeld++;
        heldOpen++;
        client.send(held.next(count.sent), () => {
          heldOpen--;
          idle.push(client);
          settle();
        });
        count.sent++;
      }
    };
    const goOn = (client: Client): void => {
      holdSome();
      if (count.sent === plan.ids) {
        settle();
        return;
      }
      const bytes = fast.next(count.sent);
      count.sent++;
      client.send(bytes, () => goOn(client));
    };
    const open = (): Client => {
      const client = new Client(plan.port, count);
      clients.add(client);
      return client;
    };
    for (let i = 0; i < BUSY; i++) goOn(open());
  });
}

/** Writes ids into the text of a request. */
class IdWriter {
  readonly #bytes: Buffer;
  readonly #idEnd: number;

  constructor(extraHeaders: string) {
    const head = 'GET / HTTP/1.1\r\nhost: flood\r\nx-request-id: ';
    const id = 'f100d000-0000-4000-8000-000000000000';
    this.#bytes = Buffer.from(`${head}${id}\r\nx-asm-traffic-lane: flood\r\n${extraHeaders}\r\n`);
    this.#idEnd = head.length + id.length;
  }

  /** A request with the id of this number. */
  next(number: number): Buffer {
    const bytes = Buffer.from(this.#bytes);
    let rest = number;
    for (let at = this.#idEnd - 1; rest > 0; at--) {
      bytes[at] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    return bytes;
  }
}

/** One connection, with one request at a time. Answers have no body, so each ends with its empty line. */
class Client {
  readonly #port: number;
  readonly #count: FloodCount;
  #socket: Socket | undefined;
  #done: (() => void) | undefined;
  #answer: Buffer = Buffer.alloc(0);

  constructor(port: number, count: FloodCount) {
    this.#port = port;
    this.#count = count;
  }

  send(bytes: Buffer, done: () => void): void {
    this.#done = done;
    this.#socket ??= this.#connect();
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect(this.#port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#socket = undefined;
      this.#answer = Buffer.alloc(0);
      if (this.#done !== undefined) this.#finish(false);
    });
    return socket;
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#answer.length === 0 ? chunk : Buffer.concat([this.#answer, chunk]);
    const whole = bytes.indexOf(END) >= 0;
    this.#answer = whole ? Buffer.alloc(0) : bytes;
    // `HTTP/1.1 200 OK`
    if (whole) this.#finish(bytes[9] === ZERO + 2);
  }

  #finish(ok: boolean): void {
    if (ok) this.#count.answered++;
    else this.#count.failed++;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}
