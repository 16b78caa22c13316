/** Values of the overload filters' headers, read as their READMEs describe them and by other means than the filters' own. */
import { trimmed } from './matcher.ts';

const LONGEST_NUMBER = 32;
const LONGEST_REPORT = 4096;
const MOST_FIELDS = 256;
const DAY_MS = 86_400_000;
const MOST_CPU = 1000;

/** The priority class of a request that has none. */
export const CLASS_WITHOUT = 5;
/** Keys of priorities end here. */
export const ALL = 1280;

/** A number from 0 to `most`; undefined for anything else. */
export function numberIn(text: string, most: number): number | undefined {
  if (text.length > LONGEST_NUMBER || !/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return undefined;
  const value = Number(text);
  return value <= most ? value : undefined;
}

export const queueTimeIn = (text: string): number | undefined => numberIn(text, DAY_MS);
export const droppedIn = (text: string): number | undefined => numberIn(text, 100_000);
export const signalIn = (text: string): number | undefined => numberIn(text, 1e12);

export function classIn(text: string): number | undefined {
  return /^\d$/.test(text) ? Number(text) : undefined;
}

/** 0 … 1280, which may have leading zeros. */
export function thresholdIn(text: string): number | undefined {
  return /^\d{1,18}$/.test(text) && BigInt(text) <= ALL ? Number(text) : undefined;
}

/** What a load report says. */
export interface Said {
  /** T2 in ms. */
  readonly queue?: number;
  /** It is no report, or one of its values cannot be. */
  readonly invalid: boolean;
}

/** Collects values by name, the first usable one of each. */
class Values {
  #queue: number | undefined;
  #cpu: number | undefined;
  #absurd = false;
  /** Names with a value, of whatever kind. */
  pairs = 0;

  readonly #metric: string;

  constructor(metric: string) {
    this.#metric = metric;
  }

  take(name: string, value: string): void {
    this.pairs++;
    if (this.#isMetric(name)) this.#queue ??= this.#usable(numberIn(value, DAY_MS));
    else if (name === 'cpu_utilization') this.#cpu ??= this.#usable(numberIn(value, MOST_CPU));
  }

  takeEntry(name: string, value: number): void {
    if (this.#isMetric(name)) this.#queue ??= this.#usable(value >= 0 && value <= DAY_MS ? value : undefined);
  }

  takeCpu(value: number): void {
    this.#usable(value >= 0 && value <= MOST_CPU ? value : undefined);
  }

  said(whole: boolean): Said {
    if (!whole) return { invalid: true };
    return { ...(this.#queue === undefined ? {} : { queue: this.#queue }), invalid: this.#absurd };
  }

  #isMetric(name: string): boolean {
    return name === this.#metric || (name.endsWith(`.${this.#metric}`) && name.length > this.#metric.length + 1);
  }

  #usable(value: number | undefined): number | undefined {
    this.#absurd ||= value === undefined;
    return value;
  }
}

/** The report in the first of the three headers that is there; undefined without one. */
export function reportIn(headers: ReadonlyMap<string, string>, metric: string): Said | undefined {
  const any = headers.get('endpoint-load-metrics');
  const json = headers.get('endpoint-load-metrics-json');
  const binary = headers.get('endpoint-load-metrics-bin');
  const value = any ?? json ?? binary;
  if (value === undefined) return undefined;
  if (value.length > LONGEST_REPORT) return { invalid: true };
  if (any !== undefined) {
    if (any.startsWith('JSON ')) return jsonReport(any.slice(5), metric);
    if (any.startsWith('BIN ')) return binaryReport(any.slice(4), metric);
    return textReport(any.startsWith('TEXT ') ? any.slice(5) : any, metric);
  }
  return json !== undefined ? jsonReport(json, metric) : binaryReport(value, metric);
}

function textReport(text: string, metric: string): Said {
  const values = new Values(metric);
  for (const part of text.split(',')) {
    const at = part.search(/[:=]/);
    if (at > 0) values.take(trimmed(part.slice(0, at)), trimmed(part.slice(at + 1)));
  }
  return values.said(values.pairs > 0);
}

/** Not only what is JSON: any names with numbers, as long as no string is left open. */
function jsonReport(text: string, metric: string): Said {
  const values = new Values(metric);
  const quoted = /"((?:[^"\\]|\\[\s\S])*)"/y;
  const number = /[\0- ]*:[\0- ]*([0-9.eE+-]+)/y;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    quoted.lastIndex = at;
    const name = quoted.exec(text);
    if (name === null) return values.said(false);
    at = quoted.lastIndex;
    number.lastIndex = at;
    const value = number.exec(text);
    if (value === null) continue;
    at = number.lastIndex;
    values.take(name[1] ?? '', value[1] ?? '');
  }
  return values.said(values.pairs > 0);
}

function binaryReport(text: string, metric: string): Said {
  const values = new Values(metric);
  const bare = trimmed(text).replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]+$/.test(bare) || bare.length % 4 === 1) return values.said(false);
  const fields = fieldsOf(Buffer.from(bare, 'base64'));
  for (const { number, double, bytes } of fields ?? []) {
    if (number === 1 && double !== undefined) values.takeCpu(double);
    if ((number !== 5 && number !== 8) || bytes === undefined) continue;
    const entry = fieldsOf(bytes);
    if (entry === undefined) return values.said(false);
    const key = entry.findLast((field) => field.number === 1 && field.bytes !== undefined)?.bytes;
    const value = entry.findLast((field) => field.number === 2 && field.double !== undefined)?.double;
    values.takeEntry(key?.toString('latin1') ?? '', value ?? 0);
  }
  return values.said(fields !== undefined);
}

interface Field {
  readonly number: number;
  readonly double?: number;
  readonly bytes?: Buffer;
}

/** Fields of a protobuf message; undefined when it is none. */
function fieldsOf(message: Buffer): Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint | undefined => {
    for (let size = 1; size <= 9 && at + size <= message.length; size++) {
      if ((message[at + size - 1] ?? 0) >= 0x80) continue;
      let value = 0n;
      for (let i = size - 1; i >= 0; i--) value = (value << 7n) | BigInt((message[at + i] ?? 0) & 0x7f);
      at += size;
      return value;
    }
    return undefined;
  };
  while (at < message.length) {
    const tag = varint();
    if (tag === undefined || fields.length >= MOST_FIELDS) return undefined;
    const number = Number(BigInt.asUintN(32, tag) >> 3n);
    const wire = Number(tag & 7n);
    const size = wire === 1 ? 8n : wire === 5 ? 4n : wire === 0 || wire === 2 ? varint() : undefined;
    if (size === undefined) return undefined;
    if (wire === 0) {
      fields.push({ number });
      continue;
    }
    if (size > BigInt(message.length - at)) return undefined;
    const bytes = message.subarray(at, at + Number(size));
    at += Number(size);
    fields.push({ number, ...(wire === 1 ? { double: bytes.readDoubleLE() } : wire === 2 ? { bytes } : {}) });
  }
  return fields;
}
