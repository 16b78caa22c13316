/** T2 as the application reports it, from the response headers of the stream that has just ended. */
import { ascii, getHeader, MapType, present, Slice } from 'proxy-wasm-assemblyscript-sdk';
import { parseNumber } from './number';
import { readBinaryReport, readJsonReport, readReport, reportedCpu, reportedQueue } from './orca';

const REPORT = ascii('endpoint-load-metrics');
const JSON_REPORT = ascii('endpoint-load-metrics-json');
const BINARY_REPORT = ascii('endpoint-load-metrics-bin');

/** More than a day in a queue is no report. */
const MOST_MS: f64 = 86_400_000;
/** Without a report for so long the application is taken for one that sends none … */
const SILENT_MS: f64 = 1000;
/** … and looked at for one only in so many answers. */
const LOOK_EVERY: u32 = 16;

export enum Source {
  None,
  Header,
  Orca,
}

@final
export class Reports {
  /** CPU utilisation by the last ORCA report, `NaN` without. */
  cpu: f64 = NaN;
  /** The answer read last had a report that says nothing usable. */
  invalid: bool = false;
  private heard: f64 = -SILENT_MS;
  private looked: u32 = 0;
  /** Which of the three ORCA headers the application uses. */
  private variant: i32 = 0;

  constructor(
    private readonly source: Source,
    /** Name of the header, or of the metric in an ORCA report. */
    private readonly name: Slice,
  ) {}

  /** T2 in ms, or `NaN`. At log time only. */
  read(now: f64): f64 {
    this.invalid = false;
    if (this.source === Source.None) return NaN;
    const silent = now - this.heard >= SILENT_MS;
    if (silent && this.looked++ % LOOK_EVERY !== 0) return NaN;
    const found = this.source === Source.Header ? this.readHeader() : this.readOrca(silent);
    if (!isNaN(found)) this.heard = now;
    return found;
  }

  private readHeader(): f64 {
    const value = getHeader(MapType.ResponseHeaders, this.name);
    if (!present(value)) return NaN;
    const found = parseNumber(value, MOST_MS);
    this.invalid = isNaN(found);
    return found;
  }

  private readOrca(silent: bool): f64 {
    for (let i = 0; i < 3; i++) {
      const variant = (this.variant + i) % 3;
      const value = getHeader(MapType.ResponseHeaders, headerOf(variant));
      if (present(value)) {
        this.variant = variant;
        this.invalid = !this.parse(variant, value);
        this.cpu = reportedCpu();
        return reportedQueue();
      }
      // An application that reports uses one of them; which one is looked for while nothing is heard.
      if (!silent) break;
    }
    return NaN;
  }

  /** False when the report is no report, or says T2 in a way that cannot be. */
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
