import { type Bytes, binary } from './bytes.ts';
import { type HeaderList, HeaderMap } from './header-map.ts';

export interface HttpCallResponse {
  readonly headers: HeaderMap;
  readonly body: string;
  readonly trailers: HeaderMap;
}

/** A `proxy_http_call` on its way. The test answers it; else the timeout does, when the clock gets there. */
export class HttpCall {
  /** What the guest got; unique in the VM. */
  readonly token: number;
  readonly cluster: string;
  readonly headers: HeaderMap;
  readonly body: string;
  readonly trailers: HeaderMap;
  /** 0 = none. */
  readonly timeoutMs: number;
  #deliver: ((response: HttpCallResponse | undefined) => void) | undefined;

  constructor(
    request: Pick<HttpCall, 'token' | 'cluster' | 'headers' | 'body' | 'trailers' | 'timeoutMs'>,
    deliver: (response: HttpCallResponse | undefined) => void,
  ) {
    this.token = request.token;
    this.cluster = request.cluster;
    this.headers = request.headers;
    this.body = request.body;
    this.trailers = request.trailers;
    this.timeoutMs = request.timeoutMs;
    this.#deliver = deliver;
  }

  /** True until it is answered, has failed or was cancelled with its root context. */
  get pending(): boolean {
    return this.#deliver !== undefined;
  }

  /** The upstream's answer. Does nothing when the call is over. */
  respond(answer: { headers?: HeaderList; body?: Bytes; trailers?: HeaderList } = {}): void {
    this.#settle({
      headers: new HeaderMap(answer.headers ?? [[':status', '200']]),
      body: binary(answer.body ?? ''),
      trailers: new HeaderMap(answer.trailers ?? []),
    });
  }

  /** The connection broke: the guest gets 0 headers, status code 11 "reset". */
  fail(): void {
    this.#settle(undefined);
  }

  /** Envoy's own answer when the timeout passes. */
  timeOut(): void {
    this.respond({ headers: [[':status', '504']], body: 'upstream request timeout' });
  }

  cancel(): void {
    this.#deliver = undefined;
  }

  #settle(response: HttpCallResponse | undefined): void {
    const deliver = this.#deliver;
    this.#deliver = undefined;
    deliver?.(response);
  }
}
