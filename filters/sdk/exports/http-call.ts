import { enter, leave } from '../callback';
import { answer } from '../http-call';

export function proxy_on_http_call_response(
  contextId: u32,
  token: u32,
  headers: u32,
  bodySize: u32,
  trailers: u32,
): void {
  enter();
  answer(contextId, token, headers, bodySize);
  leave();
}
