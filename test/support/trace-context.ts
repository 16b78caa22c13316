/**
 * Requests with every valid and invalid shape of W3C trace context, for filters that must hand all of them on. What each
 * shape is worth follows the recommendation (https://www.w3.org/TR/trace-context/) and covers what its validation suite asks of a
 * participant (https://github.com/w3c/trace-context, test/test.py); a proxy that takes no part in the trace may alter none.
 */

export type Headers = readonly (readonly [name: string, value: string])[];

export interface TraceContextCase {
  readonly what: string;
  /** Exactly as a client sends them. */
  readonly headers: Headers;
  /** The trace id that a reader takes from it; null: invalid, to be treated as absent. */
  readonly id: string | null;
}

export const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

/** A valid `traceparent` of an id, as the next hop sends it. */
export const parentOf = (id: string): string => `00-${id}-00f067aa0ba902b7-01`;

const VALID = `00-${TRACE}-${PARENT}-01`;

const parent = (what: string, value: string, id: string | null): TraceContextCase => ({
  what,
  headers: [['traceparent', value]],
  id,
});

const valid: readonly TraceContextCase[] = [
  ['sampled', VALID],
  ['not sampled', `00-${TRACE}-${PARENT}-00`],
  ['random flag of level 2', `00-${TRACE}-${PARENT}-02`],
  ['flags that nobody knows yet', `00-${TRACE}-${PARENT}-ff`],
  ['future version', `cc-${TRACE}-${PARENT}-01`],
  ['future version with more fields', `cc-${TRACE}-${PARENT}-01-one-more`],
  ['future version with an empty field', `cc-${TRACE}-${PARENT}-01-`],
  ['white space before', ` \t${VALID}`],
  ['white space behind', `${VALID}\t `],
].map(([what = '', value = '']) => parent(what, value, TRACE));

const invalid: readonly TraceContextCase[] = [
  ['empty', ''],
  ['version 00 with more fields', `${VALID}-one-more`],
  ['version 00 with a trailing dash', `${VALID}-`],
  ['version 00 with a trailing dot', `${VALID}.`],
  ['future version with text that no dash divides', `cc-${TRACE}-${PARENT}-01.one-more`],
  ['version ff', `ff-${TRACE}-${PARENT}-01`],
  ['version with a dot first', `.0-${TRACE}-${PARENT}-01`],
  ['version with a dot last', `0.-${TRACE}-${PARENT}-01`],
  ['version too short', `0-${TRACE}-${PARENT}-01`],
  ['version too long', `000-${TRACE}-${PARENT}-01`],
  ['version in upper case', `CC-${TRACE}-${PARENT}-01`],
  ['trace id all zero', `00-${'0'.repeat(32)}-${PARENT}-01`],
  ['trace id in upper case', `00-${TRACE.toUpperCase()}-${PARENT}-01`],
  ['trace id with a dot first', `00-.${TRACE.slice(1)}-${PARENT}-01`],
  ['trace id with a dot last', `00-${TRACE.slice(1)}.-${PARENT}-01`],
  ['trace id too short', `00-${TRACE.slice(1)}-${PARENT}-01`],
  ['trace id too long', `00-${TRACE}0-${PARENT}-01`],
  ['parent id all zero', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['parent id in upper case', `00-${TRACE}-${PARENT.toUpperCase()}-01`],
  ['parent id with a dot first', `00-${TRACE}-.${PARENT.slice(1)}-01`],
  ['parent id with a dot last', `00-${TRACE}-${PARENT.slice(1)}.-01`],
  ['parent id too short', `00-${TRACE}-${PARENT.slice(1)}-01`],
  ['parent id too long', `00-${TRACE}-${PARENT}0-01`],
  ['flags with a dot first', `00-${TRACE}-${PARENT}-.0`],
  ['flags with a dot last', `00-${TRACE}-${PARENT}-0.`],
  ['flags too short', `00-${TRACE}-${PARENT}-1`],
  ['flags too long', `00-${TRACE}-${PARENT}-001`],
  ['flags in upper case', `00-${TRACE}-${PARENT}-0A`],
  ['underscores for dashes', VALID.replaceAll('-', '_')],
  ['8 kB of one digit', '0'.repeat(8_192)],
].map(([what = '', value = '']) => parent(what, value, null));

const named = (what: string, name: string, id: string | null): TraceContextCase => ({
  what,
  headers: [[name, VALID]],
  id,
});

const names: readonly TraceContextCase[] = [
  named('name with a dash', 'trace-parent', null),
  named('name with a dot', 'trace.parent', null),
  named('name in upper case', 'TRACEPARENT', TRACE),
  named('name in mixed case', 'TrAcEpArEnT', TRACE),
];

const KEY = 'abcdefghijklmnopqrstuvwxyz0123456789_-*/';
/** Printable ASCII but the comma and the equals sign. */
const VALUE = Array.from({ length: 0x5e }, (_, n) => String.fromCharCode(0x21 + n)).filter(
  (c) => c !== ',' && c !== '=',
);
const members = (count: number) => Array.from({ length: count }, (_, n) => `key${n}=${n}`).join(',');

/** What `tracestate` holds never decides what the trace id is. */
const states: readonly TraceContextCase[] = (
  [
    ['one', ['a=1']],
    ['several members', ['a=1,b=2']],
    ['several headers', ['a=1,b=2', 'c=3', 'd=4,e=5']],
    ['the same key twice', ['a=1,a=2']],
    ['the same key in two headers', ['a=1', 'a=2']],
    ['empty', ['']],
    ['empty before another', ['', 'a=1']],
    ['empty after another', ['a=1', '']],
    ['white space between members', ['a=1 \t , \t b=2,\t c=3']],
    ['white space around', [' \ta=1\t ']],
    ['empty members', ['a=1,,b=2,']],
    ['every character that a key may have', [`${KEY}=1`]],
    ['every character that a value may have', [`a=${VALUE.join('')}`]],
    ['tenant and system', ['tenant@system=1']],
    ['at signs that are none', ['a@=1,@b=2,c@@d=3']],
    ['key in upper case', ['FOO=1']],
    ['key with a space', ['foo =1']],
    ['value with an equals sign', ['a=b=c']],
    ['value empty', ['a=,b=2']],
    ['32 members', [members(32)]],
    ['33 members', [members(33)]],
    ['key of 256', [`${'k'.repeat(256)}=1`]],
    ['key of 257', [`${'k'.repeat(257)}=1`]],
    ['8 kB', [`a=${'v'.repeat(8_192)}`]],
  ] as const
).map(([what, values]) => ({
  what: `tracestate: ${what}`,
  headers: [['traceparent', VALID], ...values.map((value) => ['tracestate', value] as const)],
  id: TRACE,
}));

const alone: readonly TraceContextCase[] = [
  { what: 'nothing', headers: [], id: null },
  { what: 'tracestate without traceparent', headers: [['tracestate', 'a=1,b=2']], id: null },
  {
    what: 'tracestate under other names',
    headers: [
      ['traceparent', VALID],
      ['trace-state', 'a=1'],
      ['TraceState', 'b=2'],
    ],
    id: TRACE,
  },
];

export const TRACE_CONTEXT: readonly TraceContextCase[] = [...valid, ...invalid, ...names, ...states, ...alone];

/** Two of them are as good as none to a reader who sees both; a wasm filter is handed the first. */
export const TWO_PARENTS: Headers = [
  ['traceparent', VALID],
  ['traceparent', parentOf('11111111111111112222222222222222')],
];

/** Headers of a request that belong to its trace, in order. */
export function traceHeaders(headers: Headers): Headers {
  return headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => name.startsWith('trace'));
}
