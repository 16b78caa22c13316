/**
 * An independent encoder and decoder of the list that `header_to_metadata` takes: base64 of a `google.protobuf.Value`
 * holding a list of structs. What the filter writes is compared with it.
 */
export type ListEntry = Readonly<Record<string, string>>;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return [...bytes, rest];
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(content.length)]), content]);
}

export function encodeList(list: readonly ListEntry[]): string {
  const elements = list.map((entry) => {
    const fields = Object.entries(entry).map(([key, value]) =>
      field(1, Buffer.concat([field(1, Buffer.from(key)), field(2, field(3, Buffer.from(value)))])),
    );
    return field(1, field(5, Buffer.concat(fields)));
  });
  return field(6, Buffer.concat(elements)).toString('base64');
}

/** Splits a message into its fields; every field of these messages is length-delimited. */
function fields(message: Buffer): { number: number; content: Buffer }[] {
  const found: { number: number; content: Buffer }[] = [];
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++];
      if (byte === undefined || shift > 21) throw new Error('a varint ends early or is too long');
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = read();
    if ((tag & 7) !== 2) throw new Error(`field ${tag >> 3} has wire type ${tag & 7}`);
    const size = read();
    if (at + size > message.length) throw new Error('a field is longer than its message');
    found.push({ number: tag >> 3, content: message.subarray(at, at + size) });
    at += size;
  }
  return found;
}

function only(message: Buffer, number: number): Buffer {
  const [field, more] = fields(message);
  if (!field || more || field.number !== number) throw new Error(`expected field ${number} alone`);
  return field.content;
}

export function decodeList(base64: string): ListEntry[] {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) throw new Error('not canonical base64');
  return fields(only(bytes, 6)).map((element) => {
    const entries = fields(only(element.content, 5)).map((entry) => {
      const [key, value] = fields(entry.content);
      if (key?.number !== 1 || value?.number !== 2) throw new Error('a map entry without key or value');
      return [key.content.toString(), only(value.content, 3).toString()];
    });
    return Object.fromEntries(entries) as ListEntry;
  });
}
