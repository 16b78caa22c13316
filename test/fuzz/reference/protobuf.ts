/**
 * `google.protobuf.Value` for lists of structs of texts, encoded and decoded by the rules of the protobuf wire format
 * (https://protobuf.dev/programming-guides/encoding/) and nothing else.
 */

/** One element of a fallback list: label key to value, in order. */
export type LabelSet = readonly (readonly [key: string, value: string])[];

const LENGTH_DELIMITED = 2;

function varint(value: number): string {
  return value < 0x80
    ? String.fromCharCode(value)
    : String.fromCharCode((value & 0x7f) | 0x80) + varint(Math.floor(value / 0x80));
}

function field(number: number, content: string): string {
  return varint((number << 3) | LENGTH_DELIMITED) + varint(content.length) + content;
}

/** A list of structs as one serialised Value, binary string. */
export function encodeList(elements: readonly LabelSet[]): string {
  const structs = elements.map((labels) =>
    // map<string, Value> is a repeated message of key = 1 and value = 2.
    labels.map(([key, value]) => field(1, field(1, key) + field(2, field(3, value)))).join(''),
  );
  return field(6, structs.map((struct) => field(1, field(5, struct))).join(''));
}

/** Fields of a message that has length-delimited ones only. */
function fields(message: string): [number: number, content: string][] {
  const found: [number, string][] = [];
  let at = 0;
  const next = (): number => {
    for (let value = 0, shift = 1; ; shift *= 0x80) {
      const byte = message.charCodeAt(at++);
      if (Number.isNaN(byte) || shift > 0x80 ** 4) throw new RangeError(`no varint before byte ${at}`);
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    if ((tag & 7) !== LENGTH_DELIMITED) throw new RangeError(`wire type ${tag & 7} at byte ${at}`);
    const size = next();
    if (at + size > message.length) throw new RangeError(`${size} bytes wanted at byte ${at}`);
    found.push([tag >> 3, message.slice(at, at + size)]);
    at += size;
  }
  return found;
}

function only(message: string, number: number): string {
  const all = fields(message);
  const [first] = all;
  if (all.length !== 1 || first?.[0] !== number) throw new RangeError(`expected field ${number} alone`);
  return first[1];
}

/** Elements of a serialised Value that is a list of structs of texts. @throws RangeError for anything else */
export function decodeList(value: string): LabelSet[] {
  return fields(only(value, 6)).map(([number, element]) => {
    if (number !== 1) throw new RangeError(`ListValue has no field ${number}`);
    return fields(only(element, 5)).map(([entryNumber, entry]) => {
      const parts = new Map(fields(entry));
      const key = parts.get(1);
      if (entryNumber !== 1 || key === undefined) throw new RangeError('a Struct entry without a key');
      return [key, only(parts.get(2) ?? '', 3)] as const;
    });
  });
}
