/** T2 as the application reports it, from the response headers of the stream that has just ended. */
import { ascii, present, Slice } from 'proxy-wasm-assemblyscript-sdk';
import { answerHeader } from '../answer';
import { parseNumber } from './number';
import { readBinaryReport, readJsonReport, readReport, reportedCpu, reportedQueue } from './orca';

const REPORT = ascii('endpoint-load-metrics');
const JSON_REPORT = ascii('endpoint-load-metrics-json');
const BINARY_REPORT = ascii('endpoint-load-metrics-bin');

/** More than a day in a queue is no report. */
const MOST_MS: f64 = 86_400_000;
/** After so long a report of the CPU says nothing about it any more. */
const CPU_HOLDS_MS: f64 = 1000;

export enum Source {
  None,
  Header,
  Orca,
}

@final
export class Reports {
  private cpu: f64 = NaN;
  private cpuSaid: f64 = 0;
  /** The answer read last had a report that says nothing usable. */
  invalid: bool = false;

  constructor(
    private readonly source: Source,
    /** Name of the header, or of the metric in an ORCA report. */
    private readonly name: Slice,
  ) {}

  /** CPU utilisation by an ORCA report of the last second, 1 = all of it, or `NaN`. */
  cpuAt(now: f64): f64 {
    const age = now - this.cpuSaid;
    return age >= 0 && age < CPU_HOLDS_MS ? this.cpu : NaN;
  }

  /** T2 in ms, or `NaN`. At log time only. */
  read(now: f64): f64 {
    this.invalid = false;
    switch (this.source) {
      case Source.Header:
        return this.readHeader();
      case Source.Orca:
        return this.readOrca(now);
    }
    return NaN;
  }

  private readHeader(): f64 {
    const value = answerHeader(this.name);
    if (!present(value)) return NaN;
    const found = parseNumber(value, MOST_MS);
    this.invalid = isNaN(found);
    return found;
  }

  private readOrca(now: f64): f64 {
    for (let variant = 0; variant < 3; variant++) {
      const value = answerHeader(headerOf(variant));
      if (!present(value)) continue;
      this.invalid = !this.parse(variant, value);
      this.cpu = reportedCpu();
      this.cpuSaid = now;
      return reportedQueue();
    }
    return NaN;
  }

  /** False when the report is no report, or says something in a way that cannot be. */
  private parse(variant: i32, value: Slice): bool {
    if (variant === 1) return readJsonReport(value, this.name);
    if (variant === 2) return readBinaryReport(value, this.name);
    return readReport(value, this.name);
  }
}

function headerOf(variant: i32): Slice {
  if (variant === 1) return JSON_REPORT;
  return variant === 2 ? BINARY_REPORT : REPORT;
}
