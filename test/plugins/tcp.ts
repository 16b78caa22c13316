/** Twin of Envoy's network plugins: bytes are seen and changed, connections refused and closed, also from a tick. */
import {
  appendBuffer,
  ascii,
  BufferType,
  CloseType,
  closeStream,
  equal,
  FilterStatus,
  getBuffer,
  getProperty,
  logInfo,
  present,
  propertyPath,
  register,
  Slice,
  StreamType,
  setEffectiveContext,
  setTickPeriod,
  startsWith,
  TcpPlugin,
  TcpStream,
} from 'proxy-wasm-assemblyscript-sdk';
import { show } from './say';

const REFUSE = ascii('refuse');
const CLOSE = ascii('close');
const KICK = ascii('kick');
const MARK = ascii('!');
const SOURCE = propertyPath('source.address');

let refusing: bool = false;
let kicking: bool = false;
const open: u32[] = [];

class Tcp extends TcpStream {
  onNewConnection(): FilterStatus {
    if (refusing) {
      logInfo('refused');
      closeStream(StreamType.Downstream);
      return FilterStatus.StopIteration;
    }
    logInfo('new, source known: ' + (present(getProperty(SOURCE)) ? 'yes' : 'no'));
    open.push(this.contextId);
    return FilterStatus.Continue;
  }

  onDownstreamData(size: u32, endOfStream: bool): FilterStatus {
    const data = getBuffer(BufferType.DownstreamData, 0, size);
    if (size > 0) logInfo('client says ' + show(data));
    if (startsWith(data, CLOSE)) closeStream(StreamType.Downstream);
    if (startsWith(data, KICK)) kicking = true;
    if (size > 0) appendBuffer(BufferType.DownstreamData, MARK);
    return FilterStatus.Continue;
  }

  onUpstreamData(size: u32, endOfStream: bool): FilterStatus {
    if (size > 0) logInfo('server says ' + show(getBuffer(BufferType.UpstreamData, 0, size)));
    return FilterStatus.Continue;
  }

  onDownstreamClose(by: CloseType): void {
    logInfo('closed ' + (by === CloseType.Local ? 'here' : 'there'));
  }

  onLog(): void {
    logInfo('log');
  }

  onReset(): void {
    const at = open.indexOf(this.contextId);
    if (at >= 0) open.splice(at, 1);
  }
}

class Tcps extends TcpPlugin {
  onConfigure(configuration: Slice): bool {
    refusing = equal(configuration, REFUSE);
    setTickPeriod(100);
    return true;
  }

  onTick(): void {
    if (!kicking) return;
    kicking = false;
    logInfo('kick ' + open.length.toString());
    for (let i = 0; i < open.length; i++) {
      setEffectiveContext(open[i]);
      closeStream(StreamType.Downstream);
    }
    setEffectiveContext(this.id);
  }

  createStream(): TcpStream {
    return new Tcp();
  }
}

register('tcp', () => new Tcps());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/tcp';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
