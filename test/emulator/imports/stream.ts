import { Misuse } from '../errors.ts';
import type { HostFunctions } from '../host-call.ts';
import { decodePairs } from '../pairs.ts';
import { Status, StreamType } from '../status.ts';

export const streamFunctions: HostFunctions = {
  proxy_continue_stream(call, type: number) {
    const stream = call.choice(StreamType, type);
    if (stream === StreamType.Upstream) return Status.Unimplemented;
    call.context.continueStream(stream);
    return Status.Ok;
  },

  proxy_close_stream(call, type: number) {
    call.context.closeStream(call.choice(StreamType, type));
    return Status.Ok;
  },

  proxy_send_local_response(
    call,
    status: number,
    details: number,
    detailsSize: number,
    body: number,
    bodySize: number,
    headers: number,
    headersSize: number,
    grpcStatus: number,
  ) {
    call.number(status);
    const response = {
      status,
      details: call.bytes(details, detailsSize).replace(/\s/g, '_'),
      body: call.bytes(body, bodySize),
      headers: decodePairs(call.bytes(headers, headersSize)),
      grpcStatus: call.number(grpcStatus | 0),
    };
    if (status < 200 || status > 599) throw new Misuse(Status.Ok, `not a status that a response can have: ${status}`);
    if (response.headers === undefined) throw new Misuse(Status.Ok, 'the headers are not of the ABI’s layout');
    call.context.localResponse({ ...response, headers: response.headers });
    call.instance.stopNextIteration();
    return Status.Ok;
  },

  proxy_set_effective_context(call, id: number) {
    call.number(id);
    if (!call.instance.contexts.has(id)) throw new Misuse(Status.BadArgument, `no context ${id} in this VM`);
    call.instance.setEffectiveContext(id);
    return Status.Ok;
  },

  proxy_done(call) {
    return call.context.root?.done() === true ? Status.Ok : Status.NotFound;
  },
};
