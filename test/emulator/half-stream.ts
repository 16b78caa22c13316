import { type Bytes, binary } from './bytes.ts';
import type { ContextBuffer } from './context.ts';
import { ImpossibleSequence, Refusal } from './errors.ts';
import type { HeaderMap } from './header-map.ts';
import type { HttpStream } from './http-stream.ts';
import { BODY_ACTIONS, HEADER_ACTIONS, TRAILER_ACTIONS } from './status.ts';

/**
 * What the plugin said. `Pending`: not delivered yet, because an earlier callback stopped the stream. `Failed`: not
 * delivered, because the plugin's VM has failed before; the stream is answered with 503.
 */
export type StepResult<A extends string> = A | 'Pending' | 'Failed';

/**
 * One direction of an HTTP stream: what has arrived, what the filter sees just now, what has gone on.
 *
 * The filter sees a map or a buffer from its callback on until the stream goes on: Envoy forgets its pointers when a
 * callback returns Continue, so request headers can not be read in a body callback.
 */
export class HalfStream {
  readonly #stream: HttpStream;
  readonly #side: 'request' | 'response';
  /** All headers of this direction, from their arrival to the end of the stream. */
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  /** Body bytes that have left the filter. */
  forwarded = '';
  /** The next hop has the headers. */
  headersForwarded = false;
  /** The next hop has everything. */
  complete = false;
  /** Where a callback stopped the stream, if it did. */
  stopped: 'headers' | 'body' | 'trailers' | undefined;
  visible: { headers?: HeaderMap | undefined; body?: ContextBuffer | undefined; trailers?: HeaderMap | undefined } = {};
  #endOfStream = false;
  #buffering = false;
  #held = '';
  #waiting: { body: string; endOfStream: boolean } | undefined;
  #waitingTrailers: HeaderMap | undefined;

  constructor(stream: HttpStream, side: 'request' | 'response') {
    this.#stream = stream;
    this.#side = side;
  }

  deliverHeaders(headers: HeaderMap, endOfStream: boolean): StepResult<(typeof HEADER_ACTIONS)[number]> {
    if (this.headers !== undefined) throw new ImpossibleSequence(`${this.#side} headers twice`);
    this.headers = headers;
    this.visible.headers = headers;
    this.#endOfStream = endOfStream;
    const args = [this.#stream.id, headers.size, endOfStream ? 1 : 0];
    // Set before the callback: a deferred continue runs before the callback's result is known to Envoy as well.
    const action = this.#call(HEADER_ACTIONS, 'headers', args, 'StopAllIterationAndWatermark', (stops) => {
      if (stops) this.stopped = 'headers';
    });
    if (this.stopped === undefined) this.#passHeaders(endOfStream);
    return action;
  }

  deliverBody(data: Bytes, endOfStream: boolean): StepResult<(typeof BODY_ACTIONS)[number]> {
    this.#checkOpen('body');
    const chunk = binary(data);
    if (this.stopped === 'headers') {
      this.#waiting = { body: (this.#waiting?.body ?? '') + chunk, endOfStream };
      return 'Pending';
    }
    this.#endOfStream = endOfStream;
    const buffer: ContextBuffer = { data: this.#buffering ? this.#held + chunk : chunk, mutable: true };
    if (this.#buffering) this.#held = '';
    this.#buffering = false;
    this.visible.body = buffer;
    const args = [this.#stream.id, buffer.data.length, endOfStream ? 1 : 0];
    this.stopped = undefined;
    const action = this.#call(BODY_ACTIONS, 'body', args, 'StopIterationNoBuffer', (stops, result) => {
      this.#buffering = result === 'StopIterationAndBuffer';
      if (stops) this.stopped = 'body';
      if (result !== 'StopIterationNoBuffer') this.#held += buffer.data;
    });
    if (this.stopped === undefined) this.#passBody(endOfStream);
    return action;
  }

  deliverTrailers(trailers: HeaderMap): StepResult<(typeof TRAILER_ACTIONS)[number]> {
    this.#checkOpen('trailers');
    if (this.stopped === 'headers') {
      this.#waitingTrailers = trailers;
      return 'Pending';
    }
    this.trailers = trailers;
    this.visible.trailers = trailers;
    this.#endOfStream = true;
    const args = [this.#stream.id, trailers.size];
    const action = this.#call(TRAILER_ACTIONS, 'trailers', args, 'StopIteration', (stops) => {
      this.stopped = stops ? 'trailers' : undefined;
    });
    if (this.stopped === undefined) {
      this.visible.trailers = undefined;
      this.#passBody(true);
    }
    return action;
  }

  /** The filter said "continue": what was stopped goes on, what waited behind it is delivered. */
  continue(): void {
    const { stopped } = this;
    this.stopped = undefined;
    if (stopped === 'headers') this.#passHeaders(this.#endOfStream);
    if (stopped === 'body' || stopped === 'trailers') this.#passBody(this.#endOfStream);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) this.deliverBody(waiting.body, waiting.endOfStream);
    const trailers = this.#waitingTrailers;
    this.#waitingTrailers = undefined;
    if (trailers !== undefined) this.deliverTrailers(trailers);
  }

  /** Trailers may be added in the body callback that carries the end of the stream. */
  addTrailers(create: () => HeaderMap): HeaderMap | undefined {
    if (this.visible.trailers === undefined && this.visible.body !== undefined && this.#endOfStream) {
      this.trailers = create();
      this.visible.trailers = this.trailers;
    }
    return this.visible.trailers;
  }

  #passHeaders(endOfStream: boolean): void {
    this.visible.headers = undefined;
    this.headersForwarded = true;
    if (endOfStream) this.complete = true;
  }

  #passBody(endOfStream: boolean): void {
    this.visible.body = undefined;
    this.forwarded += this.#held;
    this.#held = '';
    if (endOfStream) this.complete = true;
  }

  #checkOpen(what: string): void {
    if (this.headers === undefined) throw new ImpossibleSequence(`${this.#side} ${what} before its headers`);
    if (this.#endOfStream || this.#waiting?.endOfStream === true) {
      throw new ImpossibleSequence(`${this.#side} ${what} after the end of the stream`);
    }
  }

  /** A missing export means Continue; a local response on its way stops the stream whatever the result. */
  #call<A extends string>(
    actions: readonly [A, ...A[]],
    part: string,
    args: readonly number[],
    whenStopped: A,
    apply: (stops: boolean, action: A) => void,
  ): A {
    const { instance } = this.#stream;
    const name = `proxy_on_${this.#side}_${part}`;
    if (this.#stream.bypassed) {
      apply(false, actions[0]);
      return actions[0];
    }
    return instance.callback(this.#stream, name, args, (result, stopNext) => {
      if (instance.failure !== undefined) {
        apply(true, whenStopped);
        this.#stream.failStream();
        return whenStopped;
      }
      const number = (result ?? 0) >>> 0;
      const returned = actions[number];
      if (returned === undefined && instance.env.strict) {
        throw new Refusal(`${name} of context ${this.#stream.id} returned ${number}: not an action`);
      }
      const action = stopNext ? whenStopped : (returned ?? whenStopped);
      apply(number !== 0 && !/^Continue/.test(action) ? true : stopNext, action);
      return action;
    });
  }
}
