/**
 * The agent of the suite beside a filter that reads what it publishes: wants the clusters that its configuration names,
 * one a line, and shows them in headers of each request.
 */
import {
  ascii,
  FilterHeadersStatus,
  HttpPlugin,
  HttpStream,
  MapType,
  now,
  register,
  Slice,
  setHeader,
  setTickPeriod,
  text,
} from 'proxy-wasm-assemblyscript-sdk';
import {
  agentAlive,
  beginWanted,
  commitWanted,
  cpuPressure,
  HostList,
  hostsVersion,
  refreshAgent,
  wantHosts,
} from '../../filters/agent/blob';
import { AgentPlugin } from '../../filters/agent/filter';

const ALIVE = ascii('x-alive');
const PRESSURE = ascii('x-pressure');
const VERSION = ascii('x-version');
const HOSTS = ascii('x-hosts');

class Reader extends HttpPlugin {
  names: string[] = [];

  onConfigure(configuration: Slice): bool {
    beginWanted();
    this.names = text(configuration).split('\n');
    for (let i = 0; i < this.names.length; i++) wantHosts(ascii(this.names[i]));
    commitWanted();
    setTickPeriod(100);
    return true;
  }

  onTick(): void {
    refreshAgent(now());
  }

  createStream(): HttpStream {
    return new ReaderStream(this);
  }
}

class ReaderStream extends HttpStream {
  constructor(private plugin: Reader) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    setHeader(MapType.RequestHeaders, ALIVE, ascii(agentAlive() ? 'yes' : 'no'));
    setHeader(MapType.RequestHeaders, PRESSURE, ascii(cpuPressure().toString()));
    setHeader(MapType.RequestHeaders, VERSION, ascii(hostsVersion().toString()));
    const list = new HostList();
    const shown: string[] = [];
    for (let i = 0; i < this.plugin.names.length; i++) {
      const name = this.plugin.names[i];
      if (!list.open(ascii(name))) {
        shown.push(name + '=none');
        continue;
      }
      let hosts = name + '=' + list.count.toString();
      let number = 0;
      while (list.next() && number++ < 4) {
        hosts += ` ${text(list.address)}/${list.usable ? 'up' : 'down'}/${list.weight}/${list.requests}/${list.errors}`;
        hosts += `/${list.timeouts}/${list.connectFailures}/${list.active}/${list.priority}/${list.health}`;
      }
      shown.push(hosts);
    }
    setHeader(MapType.RequestHeaders, HOSTS, ascii(shown.join('; ')));
    return FilterHeadersStatus.Continue;
  }
}

register('reader', () => new Reader());
register('agent', () => new AgentPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-call';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-request-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
