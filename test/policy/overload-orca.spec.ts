import { ascii, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import {
  readBinaryReport,
  readJsonReport,
  readReport,
  reportedCpu,
  reportedQueue,
} from '../../filters/overload-shedding/orca';

const METRIC = ascii('queue_ms');

function report(text: string): bool {
  return readReport(ascii(text), METRIC);
}

function says(queue: f64, cpu: f64): void {
  expect<f64>(reportedQueue()).toBe(queue);
  expect<f64>(reportedCpu()).toBe(cpu);
}

/** An OrcaLoadReport with cpu_utilization 0.5 and named_metrics {queue_ms: 12.5}, made by protoc. */
const BINARY = 'CQAAAAAAAOA/QhMKCHF1ZXVlX21zEQAAAAAAAClA';

describe('an ORCA report', () => {
  it('is read as text, with and without its prefix', () => {
    expect<bool>(report('cpu_utilization:0.5, named_metrics.queue_ms:12.5')).toBe(true);
    says(12.5, 0.5);
    expect<bool>(report('TEXT cpu_utilization=0.5,queue_ms=12.5,rps_fractional=100')).toBe(true);
    says(12.5, 0.5);
    expect<bool>(report('TEXT utilization.queue_ms:3')).toBe(true);
    expect<f64>(reportedQueue()).toBe(3);
  });

  it('is read as JSON, with the prefix or in the header of its own', () => {
    const json = '{"cpu_utilization": 0.5, "rps_fractional": 10, "named_metrics": {"other": 1, "queue_ms": 12.5}}';
    expect<bool>(report('JSON ' + json)).toBe(true);
    says(12.5, 0.5);
    expect<bool>(readJsonReport(ascii(json), METRIC)).toBe(true);
    says(12.5, 0.5);
  });

  it('is read in binary, with the prefix or in the header of its own', () => {
    expect<bool>(report('BIN ' + BINARY)).toBe(true);
    says(12.5, 0.5);
    expect<bool>(readBinaryReport(ascii(BINARY), METRIC)).toBe(true);
    says(12.5, 0.5);
  });

  it('says nothing of what it does not hold', () => {
    expect<bool>(report('cpu_utilization:0.5')).toBe(true);
    expect<bool>(isNaN(reportedQueue())).toBe(true);
    expect<bool>(report('xqueue_ms:1,queue_msx:2,.queue_ms:3')).toBe(true);
    expect<bool>(isNaN(reportedQueue())).toBe(true);
  });

  it('takes the first of two, and nothing absurd', () => {
    report('queue_ms:1,queue_ms:2');
    expect<f64>(reportedQueue()).toBe(1);
    const absurd = ['-1', 'NaN', '1e308', 'inf', '86400001', '', 'x'];
    for (let i = 0; i < absurd.length; i++) {
      expect<bool>(report('queue_ms:' + absurd[i] + ',cpu_utilization:0.5')).toBe(false, absurd[i]);
      expect<bool>(isNaN(reportedQueue())).toBe(true, absurd[i]);
      expect<f64>(reportedCpu()).toBe(0.5, absurd[i]);
      expect<bool>(readJsonReport(ascii('{"queue_ms":' + absurd[i] + '}'), METRIC)).toBe(false, absurd[i]);
      expect<bool>(isNaN(reportedQueue())).toBe(true, absurd[i]);
    }
  });

  it('is refused when it is no report', () => {
    const odd = [
      '',
      'TEXT ',
      'JSON ',
      'JSON {',
      'JSON {"a',
      'JSON {"a\\',
      'BIN ',
      'BIN ???',
      'BIN CQ==',
      'BIN /////////////////w==',
      'garbage',
      ',,,',
    ];
    for (let i = 0; i < odd.length; i++) expect<bool>(report(odd[i])).toBe(false, odd[i]);
    expect<bool>(report('queue_ms:1,'.repeat(1000))).toBe(false, 'too long');
  });

  it('never reads past its end, wherever it is cut', () => {
    for (let i = 0; i < BINARY.length; i++) readBinaryReport(ascii(BINARY.substr(0, i)), METRIC);
    const json = '{"named_metrics":{"queue_ms":12.5}}';
    for (let i = 0; i < json.length; i++) readJsonReport(ascii(json.substr(0, i)), METRIC);
    const nothing: Slice = 0;
    expect<bool>(readReport(nothing, METRIC)).toBe(false);
  });
});
