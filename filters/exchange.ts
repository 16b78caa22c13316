/**
 * What the filters of one HTTP callback share: each header is read from the host at most once, however many filters of
 * the fused suite ask for it. Slices are valid until the callback ends; a new callback starts with nothing known.
 */
import {
  addHeader,
  ascii,
  callbackSequence,
  equal,
  getHeader,
  getProperty,
  lenOf,
  MapType,
  NONE,
  present,
  propertySegments,
  removeHeader,
  Slice,
  setHeader,
  text,
} from 'proxy-wasm-assemblyscript-sdk';
import { TAG } from './headers';
import { MAX_TRACE_SOURCES } from './limits';
import { stickyHash, TraceFormat, traceIdOf } from './trace-propagation/trace-id';

const AUTHORITY = ascii(':authority');
const PATH = ascii(':path');
const METHOD = ascii(':method');

/** Bits of `known`. */
const KNOWS_TAG: u32 = 1;
const KNOWS_AUTHORITY: u32 = 2;
const KNOWS_PATH: u32 = 4;
const KNOWS_METHOD: u32 = 8;
const KNOWS_STICKY: u32 = 16;

let tagHeader: Slice = ascii(TAG);
let tagProperty: Slice = headerProperty(TAG);
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
let authorityValue: Slice = NONE;
let pathValue: Slice = NONE;
let methodValue: Slice = NONE;
let stickyValue: u64 = 0;

/** Name of the tag header, lower case and permanent. One per VM. */
export function useTagHeader(name: Slice): void {
  if (equal(name, tagHeader)) return;
  tagHeader = name;
  tagProperty = headerProperty(text(name));
}

function headerProperty(name: string): Slice {
  return propertySegments(['request', 'headers', name]);
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

/**
 * The request's tag as it stands now, unchecked; `NONE` when it has none, or an empty one. A repeated header gives all
 * its values joined with commas, which no tag's grammar allows: who sends two tags has sent none.
 */
export function tag(): Slice {
  if (!recall(KNOWS_TAG)) {
    tagValue = getProperty(tagProperty);
    tagAbsent = !present(tagValue);
    if (lenOf(tagValue) === 0) tagValue = NONE;
  }
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
  if (!recall(KNOWS_AUTHORITY)) authorityValue = getHeader(MapType.RequestHeaders, AUTHORITY);
  return authorityValue;
}

/** The path with its query. */
export function path(): Slice {
  if (!recall(KNOWS_PATH)) pathValue = getHeader(MapType.RequestHeaders, PATH);
  return pathValue;
}

export function method(): Slice {
  if (!recall(KNOWS_METHOD)) methodValue = getHeader(MapType.RequestHeaders, METHOD);
  return methodValue;
}

/**
 * A number that every hop of the same trace computes alike, for sticky percentages: the hash of the first trace id
 * found, 0 without one. Mix a rule's salt into it (`mix64(sticky() ^ salt)`) so that rules draw independently.
 */
export function sticky(): u64 {
  if (!recall(KNOWS_STICKY)) {
    stickyValue = 0;
    for (let i = 0; i < sourceCount; i++) {
      const value = getHeader(MapType.RequestHeaders, unchecked(sourceNames[i]));
      if (!present(value)) continue;
      const id = traceIdOf(unchecked(sourceFormats[i]), value);
      if (!present(id)) continue;
      stickyValue = stickyHash(id);
      break;
    }
  }
  return stickyValue;
}
