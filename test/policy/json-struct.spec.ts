import { Json, JsonKind, parseError, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { Slice, slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';

/** Bytes written as hexadecimal pairs, blanks between them. */
function bytes(hex: string): Slice {
  const digits = hex.replaceAll(' ', '');
  const pointer = heap.alloc(max(digits.length / 2, 1));
  for (let i = 0; i < digits.length; i += 2) {
    store<u8>(pointer + i / 2, parseInt(digits.slice(i, i + 2), 16) as u8);
  }
  return slice(pointer, digits.length / 2);
}

/** The tree as text again. */
function show(value: Json | null): string {
  if (value === null) return `refused: ${parseError()}`;
  switch (value.kind) {
    case JsonKind.Null:
      return 'null';
    case JsonKind.Bool:
      return value.bool ? 'true' : 'false';
    case JsonKind.Number:
      return value.number.toString();
    case JsonKind.String:
      return `'${text(value.text)}'`;
    default: {
      let all = '';
      for (let i = 0; i < value.items.length; i++) {
        const key = value.kind === JsonKind.Object ? `${text(value.keys[i])}:` : '';
        all += (i === 0 ? '' : ',') + key + show(value.items[i]);
      }
      return value.kind === JsonKind.Object ? `{${all}}` : `[${all}]`;
    }
  }
}

const REFUSED = 'refused: byte 1: found';

describe('a binary google.protobuf.Struct', () => {
  it('gives the tree that its JSON gives', () => {
    // {a: 'x'}
    expect<string>(show(parseJson(bytes('0a 08 0a 01 61 12 03 1a 01 78')))).toBe("{a:'x'}");
    // {n: null, t: true, d: 1.5, o: {}, l: ['', [false]]}
    expect<string>(
      show(
        parseJson(
          bytes(
            '0a 07 0a 01 6e 12 02 08 00  0a 07 0a 01 74 12 02 20 01  0a 0e 0a 01 64 12 09 11 00 00 00 00 00 00 f8 3f' +
              '0a 07 0a 01 6f 12 02 2a 00  0a 13 0a 01 6c 12 0e 32 0c  0a 02 1a 00  0a 06 32 04 0a 02 20 00',
          ),
        ),
      ),
    ).toBe("{n:null,t:true,d:1.5,o:{},l:['',[false]]}");
  });

  it('does not hide JSON text that begins with a line feed', () => {
    expect<string>(show(parseJson(bytes('0a 7b 0a 20 7d')))).toBe('{}');
  });

  it('is refused where it is cut, has another field, or a key twice', () => {
    const whole = '0a 08 0a 01 61 12 03 1a 01 78';
    for (let length = 2; length < 29; length += 3) {
      expect<bool>(parseJson(bytes(whole.slice(0, length))) === null).toBe(true);
    }
    expect<bool>(show(parseJson(bytes('0a 08 0a 01 61 12 03 3a 01 78'))).startsWith(REFUSED)).toBe(true);
    expect<bool>(show(parseJson(bytes('0a 08 0a 01 61 12 03 1a 02 78'))).startsWith(REFUSED)).toBe(true);
    expect<bool>(show(parseJson(bytes('0a ff ff ff ff 0f'))).startsWith(REFUSED)).toBe(true);
    expect<bool>(show(parseJson(bytes(`${whole} ${whole}`))).startsWith(REFUSED)).toBe(true);
    // A number that is not finite.
    expect<bool>(show(parseJson(bytes('0a 0e 0a 01 64 12 09 11 00 00 00 00 00 00 f0 7f'))).startsWith(REFUSED)).toBe(
      true,
    );
  });
});
