import { ascii, EMPTY, HttpCallHandler, httpCall, PairWriter, Slice, Status } from 'proxy-wasm-assemblyscript-sdk';

const METHOD = ascii(':method');
const GET = ascii('GET');
const PATH = ascii(':path');
const AUTHORITY = ascii(':authority');
const AGENT = ascii('causeway-agent');
/** Long, because slow is not wrong: the pace follows what an answer takes. */
const TIMEOUT_MS: u32 = 5_000;

/** Envoy's admin interface as a cluster. Only `GET`, which changes nothing there. */
@final
export class Admin {
  private readonly headers: PairWriter = new PairWriter(3);

  constructor(
    private readonly contextId: u32,
    private readonly cluster: Slice,
  ) {}

  /** False when there is no such cluster, or no call can be made now: then `handler` is not called. */
  get(path: Slice, handler: HttpCallHandler): bool {
    const headers = this.headers.clear().add(METHOD, GET).add(PATH, path).add(AUTHORITY, AGENT);
    return httpCall(this.contextId, this.cluster, headers, EMPTY, TIMEOUT_MS, handler) === Status.Ok;
  }
}
