import type { Format } from '../trace-reference.ts';
import type { Random } from './random.ts';

/** Values of trace headers: such as tracers send, such as break one rule, and noise. */

const HEX = '0123456789abcdef';
const ANY_HEX = '0123456789abcdefABCDEF';
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function uuid(random: Random): string {
  const digits = random.text(32, random.chance(0.2) ? ANY_HEX : HEX);
  return [0, 8, 12, 16, 20].map((from, i) => digits.slice(from, [8, 12, 16, 20, 32][i])).join('-');
}

const WELL_FORMED: Record<Format, (random: Random) => string> = {
  plain: (random) => (random.chance(0.6) ? uuid(random) : random.text(random.between(1, 60), `${ANY_HEX}-_.ghXYZ`)),
  traceparent: (random) => {
    const rest = random.chance(0.1) ? `-${random.text(random.below(20), HEX)}` : '';
    const version = rest === '' ? '00' : random.text(2, HEX);
    return `${version}-${padded(random, 32)}-${random.text(16, HEX)}-${random.text(2, HEX)}${rest}`;
  },
  b3: (random) => {
    const sampled = random.pick(['', '-1', '-0', '-d', `-1-${random.text(16, HEX)}`]);
    return `${padded(random, random.pick([16, 32]))}-${random.text(16, HEX)}${sampled}`;
  },
  'b3-traceid': (random) => padded(random, random.pick([16, 32])),
  sw8: (random) => {
    const field = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
    const id = random.chance(0.9) ? `${uuid(random)}.1.${random.u32()}` : random.bytes(random.between(1, 200));
    const encoded = random.chance(0.8) ? field(id) : random.text(random.between(1, 180), BASE64);
    return `1-${encoded}-${field('segment')}-3-${field('service')}-${field('instance')}-${field('/path')}-${field('h:1')}`;
  },
  'uber-trace-id': (random) => {
    const colon = random.pick([':', ':', '%3A', '%3a']);
    return [padded(random, random.between(1, 32)), random.text(16, HEX), '0', '1'].join(colon);
  },
};

/** An id with leading zeros now and then, as a 64-bit id in a 128-bit field. */
function padded(random: Random, length: number): string {
  const zeros = random.chance(0.2) ? random.below(length + 1) : 0;
  return '0'.repeat(zeros) + random.text(length - zeros, HEX);
}

export function traceValue(random: Random, format: Format): string {
  if (random.chance(0.02)) return random.bytes(random.below(80));
  let value = WELL_FORMED[format](random);
  for (let times = random.pick([0, 0, 0, 1, 1, 2, 4]); times > 0; times--) value = mutated(random, value);
  return value;
}

/** Longest value that is made: what Envoy's limit of 60 KiB for all headers leaves of one. */
const LONGEST = 60_000;

/** The value with one change. */
export function mutated(random: Random, value: string): string {
  return changed(random, value).slice(0, LONGEST);
}

function changed(random: Random, value: string): string {
  const at = random.below(value.length + 1);
  const before = value.slice(0, at);
  const after = value.slice(at);
  switch (random.below(10)) {
    case 0:
      return before + random.bytes(1) + after;
    case 1:
      return before + after.slice(1);
    case 2:
      return before + random.bytes(1) + after.slice(1);
    case 3:
      return before;
    case 4:
      return before + random.pick(['-', ':', ',', ' ', '\t', '=', '%', '%3', ';', '0', 'f', '\xff', '\x80']) + after;
    case 5:
      return random.pick([
        value.replace(/[a-z]/g, (c) => c.toUpperCase()),
        ` ${value}`,
        `${value}\t`,
        `${value},${value}`,
        `\t ${value} `,
      ]);
    case 6:
      return before + after.repeat(2);
    case 7:
      return value.replace(/[1-9a-f]/g, '0');
    case 8:
      return before + random.text(random.below(80), '0123456789abcdef-') + after;
    default:
      return random.chance(0.01) ? value.repeat(Math.floor(LONGEST / Math.max(1, value.length))) : after;
  }
}
