/** The side that the instance itself talks to, on a listener of loopback alone: what is no order goes to the application. */
import {
  ascii,
  equal,
  FilterHeadersStatus,
  HttpStream,
  logWarn,
  Slice,
  sendLocalResponse,
} from 'proxy-wasm-assemblyscript-sdk';
import { path } from '../exchange';
import { pathOnly } from '../lane-tagging/request-values';
import { setOffline } from './shared';

const OK: u32 = 200;
const OFFLINE = ascii('/causeway/offline');
const ONLINE = ascii('/causeway/online');
const EDAS_OFFLINE = ascii('/offline');
const EDAS_ONLINE = ascii('/online');
const OFFLINE_DETAILS = ascii('causeway_isolation_told_offline');
const ONLINE_DETAILS = ascii('causeway_isolation_told_online');
const OFFLINE_BODY = ascii('offline\n');
const ONLINE_BODY = ascii('online\n');

@final
export class ControlStream extends HttpStream {
  constructor(private readonly edas: bool) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const asked = pathOnly(path());
    if (this.is(asked, OFFLINE, EDAS_OFFLINE)) return order(true, OFFLINE_DETAILS, OFFLINE_BODY);
    if (this.is(asked, ONLINE, EDAS_ONLINE)) return order(false, ONLINE_DETAILS, ONLINE_BODY);
    return FilterHeadersStatus.Continue;
  }

  private is(asked: Slice, ours: Slice, edas: Slice): bool {
    return equal(asked, ours) || (this.edas && equal(asked, edas));
  }
}

function order(offline: bool, details: Slice, body: Slice): FilterHeadersStatus {
  setOffline(offline);
  logWarn(offline ? 'causeway: isolation: offline' : 'causeway: isolation: online');
  sendLocalResponse(OK, details, body, null);
  return FilterHeadersStatus.StopIteration;
}
