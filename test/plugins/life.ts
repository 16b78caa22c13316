/** Lives and deaths: configurations that come and go, streams of each, and what is kept across them. */
import {
  ascii,
  Counter,
  counter,
  equal,
  FilterHeadersStatus,
  HttpPlugin,
  HttpStream,
  logCritical,
  logInfo,
  register,
  Slice,
  setTickPeriod,
  text,
  vmConfiguration,
} from 'proxy-wasm-assemblyscript-sdk';

const BAD = ascii('bad');

let configured: i32 = 0;

class Life extends HttpStream {
  constructor(readonly plugin: LifePlugin) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const requests = this.plugin.requests;
    if (requests !== null) requests.add(1);
    logInfo('request with ' + this.plugin.text);
    return FilterHeadersStatus.Continue;
  }
}

class LifePlugin extends HttpPlugin {
  text: string = '';
  requests: Counter | null = null;

  onConfigure(configuration: Slice): bool {
    if (equal(configuration, BAD)) {
      logCritical('life: found "bad", expected anything else');
      return false;
    }
    configured++;
    this.text = text(configuration);
    this.requests = counter('life_requests_total');
    setTickPeriod(1000);
    logInfo('configured ' + configured.toString() + ' by ' + text(vmConfiguration()));
    return true;
  }

  onDone(): bool {
    logInfo('done ' + this.text);
    return true;
  }

  onDelete(): void {
    logInfo('delete ' + this.text);
  }

  createStream(): HttpStream {
    return new Life(this);
  }
}

register('life', () => new LifePlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/done';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
