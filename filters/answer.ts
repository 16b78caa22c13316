/**
 * What the filters share at a request's end: the answer's headers are read from the host once, all together (the whole map
 * costs about as much as one header, see exchange.ts), and so is the address of the host that gave it. At log time only;
 * slices are valid until the callback ends.
 */
import {
  ascii,
  callbackSequence,
  equal,
  getPairs,
  getProperty,
  MapType,
  NONE,
  PairReader,
  propertyPath,
  Slice,
} from 'proxy-wasm-assemblyscript-sdk';

const STATUS = ascii(':status');
const ADDRESS = propertyPath('upstream.address');

let headersOf: u32 = 0;
let headers: Slice = NONE;
let addressOf: u32 = 0;
let address: Slice = NONE;
const reader = new PairReader();

/** First value of a header of the answer, `NONE` without it. `name` is lower case. */
export function answerHeader(name: Slice): Slice {
  if (headersOf !== callbackSequence()) {
    headersOf = callbackSequence();
    headers = getPairs(MapType.ResponseHeaders);
  }
  for (const pairs = reader.over(headers); pairs.next(); ) {
    if (equal(pairs.name, name)) return pairs.value;
  }
  return NONE;
}

/** Its status, three digits; `NONE` when no answer went out. */
export function answerStatus(): Slice {
  return answerHeader(STATUS);
}

/** `ip:port` of the host that had the last try; `NONE` when none had one. */
export function upstreamAddress(): Slice {
  if (addressOf !== callbackSequence()) {
    addressOf = callbackSequence();
    address = getProperty(ADDRESS);
  }
  return address;
}
