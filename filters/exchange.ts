/**
 * What the filters of one HTTP callback share: the request's headers are read from the host once, all together, however
 * many filters ask for however many of them. What makes a call to the host dear is that it calls back for memory, so
 * that the whole map costs about as much as one header. Slices are valid until the callback ends; a new callback starts
 * with nothing known.
 */
import {
  addHeader,
  ascii,
  callbackSequence,
  equal,
  getPairs,
  lenOf,
  MapType,
  NONE,
  PairReader,
  present,
  removeHeader,
  Slice,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { TAG } from './headers';
import { Chain } from './lane-fallback/chain';
import { MAX_TRACE_SOURCES } from './limits';
import { stickyHash, TraceFormat, traceIdOf } from './trace-propagation/trace-id';

const AUTHORITY = ascii(':authority');
/** What Envoy, too, takes for the authority's other name. */
const HOST = ascii('host');
const PATH = ascii(':path');
const METHOD = ascii(':method');

/** A tag header that was sent more than once, as Envoy would join it: no tag's grammar allows the comma. */
const REPEATED = ascii(',');

/** Bits of `known`. */
const KNOWS_HEADERS: u32 = 1;
const KNOWS_TAG: u32 = 2;
const KNOWS_STICKY: u32 = 4;
const KNOWS_CHAIN: u32 = 8;

let tagHeader: Slice = ascii(TAG);
const sourceNames = new StaticArray<u64>(MAX_TRACE_SOURCES);
const sourceFormats = new StaticArray<i32>(MAX_TRACE_SOURCES);
let sourceCount: i32 = 0;
const REQUEST_ID = ascii('x-request-id');
useRequestId();

/** What the configuration before used. */
let tagHeaderBefore: Slice = tagHeader;
const namesBefore = new StaticArray<u64>(MAX_TRACE_SOURCES);
const formatsBefore = new StaticArray<i32>(MAX_TRACE_SOURCES);
let countBefore: i32 = 0;

let sequence: u32 = 0;
let known: u32 = 0;
let tagValue: Slice = NONE;
/** No tag header at all, not even an empty one. Holds while the tag is known. */
let tagAbsent: bool = false;
let headers: Slice = NONE;
const reader = new PairReader();
let stickyValue: u64 = 0;
let chainValue: Chain | null = null;

/** Name of the tag header, lower case and permanent. One per VM. */
export function useTagHeader(name: Slice): void {
  tagHeader = name;
}

/** Starts a new list of trace-id sources, filled by `addTraceSource` in order of preference. One list per VM. */
export function useTraceSources(): void {
  sourceCount = 0;
}

/** Only `x-request-id`: what holds unless a filter says otherwise. */
function useRequestId(): void {
  useTraceSources();
  addTraceSource(REQUEST_ID, TraceFormat.Plain);
}

/** To be called where a configuration begins: nothing of the one before is left, unless `undoConfiguration` says so. */
export function beginConfiguration(): void {
  tagHeaderBefore = tagHeader;
  countBefore = sourceCount;
  for (let i = 0; i < sourceCount; i++) {
    namesBefore[i] = sourceNames[i];
    formatsBefore[i] = sourceFormats[i];
  }
  useRequestId();
}

/** The configuration is refused: the one before goes on as it was. */
export function undoConfiguration(): void {
  useTagHeader(tagHeaderBefore);
  useTraceSources();
  for (let i = 0; i < countBefore; i++) addTraceSource(namesBefore[i], formatsBefore[i]);
}

/** `name` is permanent; a source past `MAX_TRACE_SOURCES` is dropped. */
export function addTraceSource(name: Slice, format: TraceFormat): void {
  if (sourceCount >= MAX_TRACE_SOURCES) return;
  sourceNames[sourceCount] = name;
  sourceFormats[sourceCount] = format;
  sourceCount++;
}

/** Whether `bit` is known in this callback; from the call on it is. */
function recall(bit: u32): bool {
  if (sequence !== callbackSequence()) {
    sequence = callbackSequence();
    known = 0;
  }
  const was = (known & bit) !== 0;
  known |= bit;
  return was;
}

/** All pairs of the request as it arrived in this callback. */
function arrived(): PairReader {
  if (!recall(KNOWS_HEADERS)) headers = getPairs(MapType.RequestHeaders);
  return reader.over(headers);
}

/**
 * First value of the header as it arrived in this callback, `NONE` without it; the tag header's is `tag()`, which may have
 * been taken off meanwhile. `name` is lower case.
 */
export function header(name: Slice): Slice {
  if (equal(name, tagHeader)) return tag();
  const wanted = equal(name, HOST) ? AUTHORITY : name;
  for (const pairs = arrived(); pairs.next(); ) {
    if (equal(pairs.name, wanted)) return pairs.value;
  }
  return NONE;
}

/**
 * The request's tag as it stands now, unchecked; `NONE` when it has none, or an empty one. A repeated header gives a
 * value that is no tag: who sends two tags has sent none.
 */
export function tag(): Slice {
  if (recall(KNOWS_TAG)) return tagValue;
  tagValue = NONE;
  tagAbsent = true;
  for (const pairs = arrived(); pairs.next(); ) {
    if (!equal(pairs.name, tagHeader)) continue;
    tagValue = tagAbsent ? pairs.value : REPEATED;
    tagAbsent = false;
  }
  if (lenOf(tagValue) === 0) tagValue = NONE;
  return tagValue;
}

/** Sets the tag header. `value` must live until the callback ends. */
export function setTag(value: Slice): void {
  // Adding costs Envoy half of what replacing does; beside an empty value it would make two.
  if (recall(KNOWS_TAG) && tagAbsent) addHeader(MapType.RequestHeaders, tagHeader, value);
  else setHeader(MapType.RequestHeaders, tagHeader, value);
  tagValue = value;
  tagAbsent = false;
}

export function removeTag(): void {
  if (recall(KNOWS_TAG) && !present(tagValue)) return;
  removeHeader(MapType.RequestHeaders, tagHeader);
  tagValue = NONE;
  tagAbsent = true;
}

export function authority(): Slice {
  return header(AUTHORITY);
}

/** The path with its query. */
export function path(): Slice {
  return header(PATH);
}

export function method(): Slice {
  return header(METHOD);
}

/**
 * A number that every hop of the same trace computes alike, for sticky percentages: the hash of the first trace id
 * found, 0 without one. Mix a rule's salt into it (`mix64(sticky() ^ salt)`) so that rules draw independently.
 */
export function sticky(): u64 {
  if (!recall(KNOWS_STICKY)) {
    stickyValue = 0;
    for (let i = 0; i < sourceCount; i++) {
      const value = header(unchecked(sourceNames[i]));
      if (!present(value)) continue;
      const id = traceIdOf(unchecked(sourceFormats[i]), value);
      if (!present(id)) continue;
      stickyValue = stickyHash(id);
      break;
    }
  }
  return stickyValue;
}

/** Tells filters behind which lanes may serve this request, best first. */
export function chooseChain(chain: Chain): void {
  recall(KNOWS_CHAIN);
  chainValue = chain;
}

/** The chain that lane-fallback has chosen in this callback; null when it left the request to the route's default. */
export function chosenChain(): Chain | null {
  if (!recall(KNOWS_CHAIN)) chainValue = null;
  return chainValue;
}
