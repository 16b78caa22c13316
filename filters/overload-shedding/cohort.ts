/** The cohort of the request of the running callback. */
import { hash64, lenOf, present, Slice } from 'proxy-wasm-assemblyscript-sdk';
import { header, sticky } from '../exchange';
import { cohortOf } from './priority';

let anonymous: u64 = 0;

/** By the user's header where one is configured and present, else by trace; without either anew for each request. */
export function cohort(userHeader: Slice, time: f64): i32 {
  let hash: u64 = 0;
  if (present(userHeader)) {
    const user = header(userHeader);
    if (lenOf(user) > 0) hash = hash64(user);
  }
  if (hash === 0) hash = sticky();
  if (hash === 0) hash = ++anonymous;
  return cohortOf(hash, time);
}
