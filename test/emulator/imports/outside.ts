import { textOf } from '../bytes.ts';
import { Misuse } from '../errors.ts';
import { HeaderMap } from '../header-map.ts';
import type { HostFunctions } from '../host-call.ts';
import { decodePairs } from '../pairs.ts';
import { LogLevel, Status } from '../status.ts';

/** Properties, time, logging, timers, calls to other services and to Envoy's own functions. */
export const outsideFunctions: HostFunctions = {
  proxy_log(call, level: number, message: number, messageSize: number) {
    const kind = call.choice(LogLevel, level);
    const text = textOf(call.bytes(message, messageSize));
    if (kind >= call.env.logLevel) call.env.logs.push({ level: kind, message: text, vm: call.instance.label });
    return Status.Ok;
  },

  proxy_get_log_level(call, levelAt: number) {
    return call.giveU32(call.env.logLevel, levelAt);
  },

  proxy_get_current_time_nanoseconds(call, timeAt: number) {
    return call.giveU64(call.env.clock.now, timeAt);
  },

  proxy_set_tick_period_milliseconds(call, ms: number) {
    call.context.root?.setTickPeriod(call.number(ms));
    return Status.Ok;
  },

  proxy_get_property(call, path: number, pathSize: number, valueAt: number, sizeAt: number) {
    const segments = call.bytes(path, pathSize).split('\0');
    const value =
      call.context.property(segments) ??
      (segments.length === 1 ? call.context.filterState?.get(segments[0] ?? '') : undefined);
    return value === undefined ? Status.NotFound : call.give(value, valueAt, sizeAt);
  },

  proxy_set_property(call, path: number, pathSize: number, value: number, valueSize: number) {
    const [key, bytes] = [call.bytes(path, pathSize), call.bytes(value, valueSize)];
    if (call.context.filterState === undefined) return Status.NotFound;
    call.context.filterState.set(key, bytes);
    return Status.Ok;
  },

  proxy_get_status(call, codeAt: number, messageAt: number, sizeAt: number) {
    const { code, message } = call.context.root?.callStatus ?? { code: 0, message: '' };
    call.giveU32(code, codeAt);
    return call.give(message, messageAt, sizeAt);
  },

  proxy_http_call(
    call,
    cluster: number,
    clusterSize: number,
    headers: number,
    headersSize: number,
    body: number,
    bodySize: number,
    trailers: number,
    trailersSize: number,
    timeoutMs: number,
    tokenAt: number,
  ) {
    const { root } = call.context;
    if (root === undefined) throw new Misuse(Status.BadArgument, 'the VM context can not call out');
    const name = call.bytes(cluster, clusterSize);
    const pairs = decodePairs(call.bytes(headers, headersSize));
    const content = call.bytes(body, bodySize);
    const trailerPairs = decodePairs(call.bytes(trailers, trailersSize));
    if (pairs === undefined || trailerPairs === undefined) {
      throw new Misuse(Status.BadArgument, 'the pairs are not of the ABI’s layout');
    }
    call.number(timeoutMs);
    call.giveU32(0, tokenAt);
    const map = new HeaderMap(pairs);
    const missing = [':method', ':path', ':authority'].filter((wanted) => !map.has(wanted));
    if (missing.length > 0) throw new Misuse(Status.BadArgument, `the request has no ${missing.join(', ')}`);
    if (timeoutMs > 0x7fffffff) throw new Misuse(Status.BadArgument, 'the timeout is negative');
    if (call.env.clusters?.has(name) === false) return Status.BadArgument;
    if (content.length > 0) map.set('content-length', String(content.length));
    const token = call.instance.newHttpCallToken();
    root.httpCall({
      token,
      cluster: name,
      headers: map,
      body: content,
      trailers: new HeaderMap(trailerPairs),
      timeoutMs,
    });
    return call.giveU32(token, tokenAt);
  },

  proxy_call_foreign_function(
    call,
    name: number,
    nameSize: number,
    argument: number,
    argumentSize: number,
    resultAt: number,
    sizeAt: number,
  ) {
    const outcome = call.env.foreign.call(call.bytes(name, nameSize), call.bytes(argument, argumentSize), call.context);
    if (outcome === undefined) return Status.NotFound;
    const { status, result } = outcome;
    if (resultAt !== 0)
      call.instance.memory.writeU32(resultAt, result === undefined ? 0 : call.instance.memory.place(result));
    if (sizeAt !== 0) call.instance.memory.writeU32(sizeAt, result?.length ?? 0);
    if (result !== undefined) call.record.result = result;
    return status;
  },
};
