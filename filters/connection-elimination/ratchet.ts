/**
 * What all workers of a proxy know together of a service, in shared data:
 *
 *   v1/tls/done/<service>    present once a host of it has completed TLS; never taken back
 *   v1/tls/back/<service>    u64, end of a canary's way back to plain in ms since 1970
 *
 * Every worker may write both: the first only ever becomes present, of the second the last failure's end counts. At most
 * two keys for each service that a configuration has named.
 */
import { getShared, lenOf, OVERWRITE, present, ptrOf, Slice, setShared, slice } from 'proxy-wasm-assemblyscript-sdk';
import { ServiceTls } from './policy';

const DONE = 'v1/tls/done/';
const BACK = 'v1/tls/back/';
const PREFIX_LENGTH = 12;
/** The prefix and a name of at most 63 bytes. */
const scratch: usize = memory.data(80, 8);
const value: usize = memory.data(8, 8);

function key(prefix: string, service: Slice): Slice {
  for (let i = 0; i < PREFIX_LENGTH; i++) store<u8>(scratch + i, prefix.charCodeAt(i) as u8);
  const length = lenOf(service);
  memory.copy(scratch + PREFIX_LENGTH, ptrOf(service), length);
  return slice(scratch, PREFIX_LENGTH + length);
}

/** Takes over what other workers know. Once the ratchet has caught there is nothing more to learn, and no host call. */
export function refresh(name: Slice, service: ServiceTls): void {
  if (service.completed) return;
  if (present(getShared(key(DONE, name)))) {
    service.completed = true;
    return;
  }
  const until = getShared(key(BACK, name));
  if (lenOf(until) === 8) service.learn(load<u64>(ptrOf(until)));
}

export function tellCompleted(name: Slice, service: ServiceTls): void {
  service.completed = true;
  store<u64>(value, 1);
  setShared(key(DONE, name), slice(value, 8), OVERWRITE);
}

export function tellReturn(name: Slice, service: ServiceTls): void {
  store<u64>(value, service.until());
  setShared(key(BACK, name), slice(value, 8), OVERWRITE);
}
