/** Twin of Envoy's metrics, timer and foreign-function plugins. */
import {
  ascii,
  Counter,
  callForeign,
  counter,
  FilterHeadersStatus,
  foreignStatus,
  Gauge,
  gauge,
  Histogram,
  HttpPlugin,
  HttpStream,
  histogram,
  lenOf,
  logInfo,
  present,
  ptrOf,
  register,
  Slice,
  setTickPeriod,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { show } from './say';

const COMPRESS = ascii('compress');
const UNCOMPRESS = ascii('uncompress');
const CREATE = ascii('expr_create');
const EVALUATE = ascii('expr_evaluate');
const DELETE = ascii('expr_delete');
const NO_FUNCTION = ascii('no such function');
const LONG = ascii('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
const EXPRESSION = ascii('request.path == "/cel" && request.headers["x-lane"].startsWith("dev")');
const BROKEN = ascii('/ /');

let requests: Counter | null = null;
let level: Gauge | null = null;
let sizes: Histogram | null = null;
let token: Slice = 0;
let ticks: i32 = 0;

class Outside extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    requests!.add(2);
    level!.add(5);
    level!.add(-2);
    sizes!.record(7);
    const packed = callForeign(COMPRESS, LONG);
    const kept = slice(ptrOf(packed), lenOf(packed));
    logInfo('packed smaller: ' + (lenOf(kept) < lenOf(LONG) ? 'yes' : 'no'));
    logInfo('unpacked ' + lenOf(callForeign(UNCOMPRESS, kept)).toString());
    logInfo('unpack rubbish ' + show(callForeign(UNCOMPRESS, BROKEN)) + ' ' + (foreignStatus() as i32).toString());
    logInfo('no function ' + show(callForeign(NO_FUNCTION, LONG)) + ' ' + (foreignStatus() as i32).toString());
    const verdict = callForeign(EVALUATE, token);
    logInfo(
      'verdict ' +
        (present(verdict) ? load<u8>(ptrOf(verdict)).toString() : 'error') +
        ' ' +
        (foreignStatus() as i32).toString(),
    );
    return FilterHeadersStatus.Continue;
  }
}

class OutsidePlugin extends HttpPlugin {
  onConfigure(configuration: Slice): bool {
    requests = counter('twin_requests_total');
    level = gauge('twin_level');
    sizes = histogram('twin_sizes');
    const made = callForeign(CREATE, EXPRESSION);
    if (lenOf(made) !== 4) return false;
    const memory: usize = heap.alloc(4);
    store<u32>(memory, load<u32>(ptrOf(made)));
    token = slice(memory, 4);
    callForeign(CREATE, BROKEN);
    logInfo('broken expression ' + (foreignStatus() as i32).toString());
    const second = callForeign(CREATE, EXPRESSION);
    callForeign(DELETE, second);
    logInfo('delete ' + (foreignStatus() as i32).toString());
    setTickPeriod(100);
    return true;
  }

  onTick(): void {
    if (++ticks === 3) logInfo('third tick');
  }

  createStream(): HttpStream {
    return new Outside();
  }
}

register('outside', () => new OutsidePlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
