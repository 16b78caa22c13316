/**
 * Packs ASCII text for the module, which unpacks it when it is configured (`filters/sdk/config/unpack.ts`):
 *
 *   0xxxxxxx                      the character itself
 *   1nnnnnnn dddddddd dddddddd    n + 4 characters once more, from d behind what is written so far (high byte first)
 */
const SHORTEST = 4;
const LONGEST = SHORTEST + 0x7f;
const FARTHEST = 0xffff;

/** @throws Error where the text is not ASCII */
export function pack(text: string): number[] {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.some((byte) => byte >= 0x80)) throw new Error('found a character beyond ASCII, expected none');
  const packed: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { length, distance } = longestMatch(bytes, at);
    if (length < SHORTEST) {
      packed.push(bytes[at] as number);
      at++;
      continue;
    }
    packed.push(0x80 | (length - SHORTEST), distance >> 8, distance & 0xff);
    at += length;
  }
  return packed;
}

function longestMatch(bytes: Buffer, at: number): { length: number; distance: number } {
  let best = { length: 0, distance: 0 };
  for (let from = at - 1; from >= Math.max(0, at - FARTHEST) && best.length < LONGEST; from--) {
    let length = 0;
    while (length < LONGEST && at + length < bytes.length && bytes[from + length] === bytes[at + length]) length++;
    if (length > best.length) best = { length, distance: at - from };
  }
  return best;
}
