/** Headers that callers, applications and strangers may send to the overload filters: right, nearly right, and noise. */
import type { HeaderList } from '../../emulator/index.ts';
import type { Random } from './random.ts';
import { mutated } from './trace-values.ts';

/** The header, more than once now and then, or not at all. */
export function maybe(random: Random, name: string, value: string): HeaderList {
  if (random.chance(0.1)) return [];
  return random.chance(0.1)
    ? [
        [name, value],
        [name, random.pick([value, '', '1', '640'])],
      ]
    : [[name, value]];
}

/** First value of each name. */
export function firsts(headers: HeaderList): ReadonlyMap<string, string> {
  return new Map([...headers].reverse().map(([name, value]) => [String(name), String(value)]));
}

function spoilt(random: Random, value: string): string {
  let result = value;
  for (let times = random.pick([0, 0, 0, 1, 1, 2, 4]); times > 0; times--) result = mutated(random, result);
  return result;
}

export function number(random: Random): string {
  const digits = String(random.below(10 ** random.between(1, 6)));
  return spoilt(
    random,
    random.pick([
      digits,
      digits,
      `${digits}.${random.below(1000)}`,
      `${digits}.`,
      `.${digits}`,
      `${random.below(100)}e${random.between(-4, 4)}`,
      `${random.below(10)}.5E+${random.below(4)}`,
      `-${digits}`,
      `+${digits}`,
      random.pick([
        '86400000',
        '86400001',
        '100000',
        '100001',
        '99999.5',
        '1e308',
        '1e-400',
        '0',
        '000',
        '1e',
        '.',
        '',
      ]),
      random.pick(['NaN', 'inf', 'Infinity', '0x10', '1,2', '1 2', '١', '9'.repeat(31), '9'.repeat(33)].map(latin1)),
    ]),
  );
}

/** Headers hold bytes. */
function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

export function class_(random: Random): string {
  const digit = String(random.below(10));
  return random.chance(0.6) ? digit : spoilt(random, random.pick([digit, digit, `${digit}0`, '', '-1', '05', '5 ']));
}

export function threshold(random: Random): string {
  const key = random.pick([
    random.below(1281),
    random.below(10) * 128,
    0,
    127,
    128,
    1279,
    1280,
    1281,
    2 ** 31,
    2 ** 53,
  ]);
  return spoilt(random, random.pick([String(key), String(key), `00${key}`, `-${key}`, `${key}.0`, '9'.repeat(19)]));
}

export function status(random: Random): string {
  return random.chance(0.8)
    ? random.pick(['200', '404', '429', '500', '503', '503', '599'])
    : random.pick(['', '5', '0503']);
}

/** An answer's headers with T2, or a load report, in any of their places. */
export function report(random: Random): HeaderList {
  const headers: HeaderList[] = [];
  if (random.chance(0.8)) headers.push(maybe(random, 'x-queue-ms', number(random)));
  if (random.chance(0.6)) headers.push(maybe(random, 'endpoint-load-metrics', anyReport(random)));
  if (random.chance(0.3)) headers.push(maybe(random, 'endpoint-load-metrics-json', spoilt(random, json(random))));
  if (random.chance(0.3)) headers.push(maybe(random, 'endpoint-load-metrics-bin', spoilt(random, base64(random))));
  return headers.flat();
}

function anyReport(random: Random): string {
  const form = random.below(10);
  const report = form < 2 ? `JSON ${json(random)}` : form < 4 ? `BIN ${base64(random)}` : text(random);
  return random.chance(0.01) ? report.repeat(100) : spoilt(random, report);
}

const NAMES = [
  'queue_ms',
  'queue_ms',
  'named_metrics.queue_ms',
  'utilization.queue_ms',
  'cpu_utilization',
  'rps_fractional',
  '.queue_ms',
  'queue_msx',
  '',
];

function text(random: Random): string {
  const pairs = Array.from({ length: random.below(5) }, () => {
    const [before, after] = [random.pick(['', '', ' ', '\t']), random.pick(['', '', ' '])];
    return `${before}${random.pick(NAMES)}${after}${random.pick([':', '='])}${after}${number(random)}${before}`;
  });
  return random.pick(['', '', 'TEXT ', 'TEXT']) + pairs.join(random.pick([',', ', ', ',,']));
}

function json(random: Random): string {
  const values = Object.fromEntries(
    Array.from({ length: random.below(5) }, () => [
      random.pick(NAMES),
      random.pick([random.below(1000), random.below(1000) / 7, -1, 1e308, null, 'queue_ms', '"', '\\']),
    ]),
  );
  const nested = random.chance(0.5) ? { named_metrics: values, rps_fractional: 3 } : values;
  return JSON.stringify(nested, null, random.pick([0, 0, 1]));
}

const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)]);
const block = (field: number, bytes: readonly number[]): number[] => [
  (field << 3) | 2,
  ...varint(bytes.length),
  ...bytes,
];

function double(field: number, value: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return [(field << 3) | 1, ...bytes];
}

/** An OrcaLoadReport, with fields that it does not have. */
function base64(random: Random): string {
  const value = (): number => random.pick([random.below(1000), 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e9]);
  const fields = Array.from({ length: random.chance(0.02) ? 300 : random.below(5) }, () => {
    const entry = [
      ...(random.chance(0.9) ? block(1, [...Buffer.from(random.pick(NAMES))]) : []),
      ...(random.chance(0.9) ? double(2, value()) : []),
    ];
    return random.pick([
      block(random.pick([5, 8]), entry),
      block(random.pick([5, 8]), entry),
      double(1, value()),
      [0x18, ...varint(random.below(1 << 28))],
      [0x35, 1, 2, 3, 4],
      block(4, [...Buffer.from('other')]),
    ]);
  });
  const bytes = fields.flat();
  if (random.chance(0.2) && bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
  return Buffer.from(random.chance(0.1) ? bytes.slice(0, random.below(bytes.length + 1)) : bytes).toString('base64');
}

/** A request with values that may be limited. */
export function keyed(random: Random): HeaderList {
  const value = (): string => spoilt(random, random.pick(['ann', 'bob', '', ' ', 'a%20b', '"q"', 'x'.repeat(1_500)]));
  const cookies = [`sid=${value()}`, `x=1; sid = ${value()} `, `Sid=${value()}`, 'sid', `x="1;sid=${value()}"`];
  const paths = [`/?user=${value()}`, `/a?b=c&user=${value()}#d`, `/?%75ser=${value()}`, '/', '/?user', '/user=1'];
  return [
    [':path', random.chance(0.5) ? spoilt(random, random.pick(paths)) : '/'],
    ...(random.chance(0.3) ? maybe(random, 'x-user', value()) : []),
    ...(random.chance(0.3) ? [['cookie', spoilt(random, random.pick(cookies))] as const] : []),
  ];
}
