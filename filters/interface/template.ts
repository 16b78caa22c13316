import { MAX_TEMPLATE_SEGMENTS } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { byteAt, equal, lenOf, NONE, Slice, startsWith, sub } from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * Route templates. A path is cut into its segments once (`splitPath`); after that a template costs one comparison of
 * numbers for each of its literal segments.
 *
 *   path      /api/v1/products/42/reviews?page=2     segments  api  v1  products  42  reviews
 *   template  /api/v1/products/{id}/reviews                    =    =   =         any =
 *   template  /api/v1/pro**                                    =    =   starts with `pro`, whatever follows
 *
 * A parameter stands for one segment that is not empty. Nothing is decoded or normalised here.
 */

/** The path that was split last, without query and fragment. One at a time: a VM has one thread. */
let path: Slice = NONE;
/** Its segments; `MAX_TEMPLATE_SEGMENTS + 1` stands for every larger number. */
let segments: i32 = 0;
const starts = new StaticArray<i32>(MAX_TEMPLATE_SEGMENTS);
const ends = new StaticArray<i32>(MAX_TEMPLATE_SEGMENTS);
const hashes = new StaticArray<u32>(MAX_TEMPLATE_SEGMENTS);

/** FNV-1a over 32 bits: start value and factor. */
const HASH_START: u32 = 0x811c9dc5;
const HASH_FACTOR: u32 = 0x01000193;

/** Takes over the path that templates are put to until the next call. What does not start with a slash fits none. */
export function splitPath(value: Slice): void {
  segments = 0;
  const length = lenOf(value);
  if (length === 0 || byteAt(value, 0) !== 0x2f) return;
  let start = 1;
  let at = 1;
  let hash = HASH_START;
  while (at < length) {
    const byte = byteAt(value, at);
    if (byte === 0x3f || byte === 0x23) break;
    if (byte === 0x2f) {
      endSegment(start, at, hash);
      start = at + 1;
      hash = HASH_START;
    } else hash = (hash ^ byte) * HASH_FACTOR;
    at++;
  }
  endSegment(start, at, hash);
  path = sub(value, 0, at);
}

function endSegment(start: i32, end: i32, hash: u32): void {
  if (segments > MAX_TEMPLATE_SEGMENTS) return;
  if (segments < MAX_TEMPLATE_SEGMENTS) {
    unchecked((starts[segments] = start));
    unchecked((ends[segments] = end));
    unchecked((hashes[segments] = hash));
  }
  segments++;
}

/** One compiled template; its literal texts point into the text that it was made from. */
@final
export class PathTemplate {
  /** By segment: its text, `NONE` for a parameter. Without the last segment of an open template. */
  private readonly texts: StaticArray<u64>;
  private readonly textHashes: StaticArray<u32>;
  /** What an open template's last segment starts with; `NONE` when the template is not open. */
  private readonly tail: Slice;

  /** `template` holds the format `path-template` and lives as long as this. */
  constructor(template: Slice) {
    splitPath(template);
    const length = lenOf(path);
    const open = byteAt(template, length - 1) === 0x2a;
    const whole = open ? segments - 1 : segments;
    this.texts = new StaticArray<u64>(whole);
    this.textHashes = new StaticArray<u32>(whole);
    this.tail = open ? sub(template, starts[whole], length - 2) : NONE;
    for (let i = 0; i < whole; i++) {
      const parameter = ends[i] > starts[i] && byteAt(template, starts[i]) === 0x7b;
      this.texts[i] = parameter ? NONE : sub(template, starts[i], ends[i]);
      this.textHashes[i] = hashes[i];
    }
  }

  /** Whether the path of the last `splitPath` fits. */
  fits(): bool {
    const whole = this.texts.length;
    const open = this.tail !== NONE;
    if (open ? segments <= whole : segments !== whole) return false;
    for (let i = 0; i < whole; i++) {
      const text = unchecked(this.texts[i]);
      const start = unchecked(starts[i]);
      const end = unchecked(ends[i]);
      if (text === NONE) {
        if (start === end) return false;
      } else if (unchecked(this.textHashes[i]) !== unchecked(hashes[i]) || !equal(text, sub(path, start, end))) {
        return false;
      }
    }
    return !open || startsWith(sub(path, unchecked(starts[whole]), lenOf(path)), this.tail);
  }
}
