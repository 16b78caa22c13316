/**
 * Inside a cluster that serves both states (HTTP/1): the pool has chosen a connection, and the host's metadata says which state
 * it should have. A stale one carries this request and is then closed by the server's answer to `connection: close`.
 */
import {
  ascii,
  byteAt,
  Counter,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  lenOf,
  MapType,
  propertySegments,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { retiredCounter } from './metrics';
import { isStale } from './policy';

const WANTED = propertySegments([
  'xds',
  'upstream_host_metadata',
  'filter_metadata',
  'envoy.transport_socket_match',
  'tls',
]);
const TLS_VERSION = propertySegments(['upstream', 'tls_version']);
const LOCAL_ADDRESS = propertySegments(['upstream', 'local_address']);
const CONNECTION = ascii('connection');
const CLOSE = ascii('close');
const ONE: u8 = 0x31;

/** Whether the chosen host's metadata asks for TLS. */
export function wantsTls(): bool {
  const wanted = getProperty(WANTED);
  return lenOf(wanted) === 1 && byteAt(wanted, 0) === ONE;
}

@final
export class UpstreamStream extends HttpStream {
  private readonly retired: Counter = retiredCounter();

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const wanted = wantsTls();
    const tls = lenOf(getProperty(TLS_VERSION)) > 0;
    if (wanted !== tls && isStale(wanted, tls, lenOf(getProperty(LOCAL_ADDRESS)) > 0)) {
      setHeader(MapType.RequestHeaders, CONNECTION, CLOSE);
      this.retired.add();
    }
    return FilterHeadersStatus.Continue;
  }
}
