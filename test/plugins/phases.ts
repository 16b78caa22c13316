/**
 * Asks in each phase for what that phase does not have, and logs the status of every answer. Twin of the checks in
 * Envoy's own header plugin (`addResponseHeader` in the request phase and so on).
 */
import {
  addHeader,
  ascii,
  BufferType,
  bufferSize,
  FilterDataStatus,
  FilterHeadersStatus,
  getBuffer,
  getHeader,
  getPairs,
  getProperty,
  HttpPlugin,
  HttpStream,
  lenOf,
  logInfo,
  MapType,
  present,
  propertyPath,
  register,
  removeHeader,
  setEffectiveContext,
  setHeader,
  setProperty,
} from 'proxy-wasm-assemblyscript-sdk';
import { say, show } from './say';

const PATH = ascii(':path');
const STATUS = ascii(':status');
const NAME = ascii('x-name');
const VALUE = ascii('value');
const OWN_STATE = propertyPath('own_state');

function maps(phase: string): void {
  logInfo(
    phase +
      ' reads ' +
      (present(getHeader(MapType.RequestHeaders, PATH)) ? 'Q' : '-') +
      (present(getHeader(MapType.ResponseHeaders, STATUS)) ? 'P' : '-') +
      ' pairs ' +
      (lenOf(getPairs(MapType.RequestHeaders)) > 0 ? 'Q' : '-') +
      (lenOf(getPairs(MapType.RequestTrailers)) > 0 ? 'q' : '-') +
      (lenOf(getPairs(MapType.ResponseHeaders)) > 0 ? 'P' : '-') +
      (lenOf(getPairs(MapType.ResponseTrailers)) > 0 ? 'p' : '-') +
      ' body ' +
      bufferSize(BufferType.HttpRequestBody).toString() +
      '/' +
      bufferSize(BufferType.HttpResponseBody).toString(),
  );
  logInfo(
    phase +
      ' path ' +
      show(getProperty(propertyPath('request.path'))) +
      ' url ' +
      show(getProperty(propertyPath('request.url_path'))) +
      ' method ' +
      show(getProperty(propertyPath('request.method'))) +
      ' code ' +
      lenOf(getProperty(propertyPath('response.code'))).toString() +
      ' state ' +
      show(getProperty(OWN_STATE)),
  );
}

class Phases extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    logInfo('set state ' + (setProperty(OWN_STATE, VALUE) as i32).toString());
    maps('request headers');
    say('add response header', addHeader(MapType.ResponseHeaders, NAME, VALUE));
    say('set response trailer', setHeader(MapType.ResponseTrailers, NAME, VALUE));
    say('remove response trailer', removeHeader(MapType.ResponseTrailers, NAME));
    say('set request trailer', setHeader(MapType.RequestTrailers, NAME, VALUE));
    say('effective context of nobody', setEffectiveContext(123456));
    logInfo('configuration ' + show(getBuffer(BufferType.PluginConfiguration, 0, 100)));
    logInfo('vm configuration ' + show(getBuffer(BufferType.VmConfiguration, 0, 100)));
    logInfo(
      'plugin ' + show(getProperty(propertyPath('plugin_name'))) + show(getProperty(propertyPath('plugin_vm_id'))),
    );
    logInfo('missing property ' + show(getProperty(propertyPath('request.nothing'))));
    logInfo('no such root ' + show(getProperty(propertyPath('nothing.at.all'))));
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    if (!endOfStream) return FilterDataStatus.Continue;
    maps('request body');
    say('set request header', setHeader(MapType.RequestHeaders, NAME, VALUE));
    say('set request trailer', setHeader(MapType.RequestTrailers, NAME, VALUE));
    return FilterDataStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    maps('response headers');
    say('set request header', setHeader(MapType.RequestHeaders, NAME, VALUE));
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    maps('log');
    say('set response header', setHeader(MapType.ResponseHeaders, NAME, VALUE));
  }
}

class PhasesPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Phases();
  }
}

register('phases', () => new PhasesPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-body';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
