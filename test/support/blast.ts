import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';

export interface Blast {
  readonly port: number;
  /** The request of this number, from 0. Its answer must have a `content-length`. */
  readonly request: (number: number) => string;
  readonly count: number;
  readonly connections?: number;
  /** Sends nothing more after so long. Default: no bound. */
  readonly ms?: number;
}

/**
 * HTTP/1.1 on loopback without a client's work for each answer: counts, where thousands of requests a second are to be judged.
 *
 * @returns how many answers there were, and how many of them had `mark` in their head
 * @throws Error of a connection that fails, is closed, or is silent for 10 s
 */
export async function blast(options: Blast, mark: RegExp): Promise<{ answers: number; marked: number }> {
  const { port, request, count, connections = 32, ms = Number.POSITIVE_INFINITY } = options;
  const end = performance.now() + ms;
  const total = { answers: 0, marked: 0 };
  let number = 0;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.setNoDelay(true);
      let text = '';
      const next = () => {
        if (number < count && performance.now() < end) {
          socket.write(request(number++));
          return;
        }
        resolve();
        socket.destroy();
      };
      socket.once('connect', next);
      socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in 10 s')));
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed without an answer')));
      socket.on('data', (data) => {
        text += data.toString('latin1');
        const end = text.indexOf(HEAD_END) + HEAD_END.length;
        if (end < HEAD_END.length) return;
        const head = text.slice(0, end);
        if (text.length < end + Number(/\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1])) return;
        text = '';
        total.answers++;
        if (mark.test(head)) total.marked++;
        next();
      });
    });
  await Promise.all(Array.from({ length: connections }, one));
  return total;
}
