import { ascii, hash64, NONE, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { stickyHash, TraceFormat, traceIdOf } from '../../filters/trace-propagation/trace-id';

const HEX32 = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = `00-${HEX32}-00f067aa0ba902b7-01`;

/** The id as text, `-` for none. */
function id(format: TraceFormat, value: string): string {
  const found = traceIdOf(format, ascii(value));
  return found === NONE ? '-' : text(found);
}

describe('plain ids', () => {
  it('takes the whole value, trimmed', () => {
    expect<string>(id(TraceFormat.Plain, ' Root=1-abc ')).toBe('Root=1-abc');
  });

  it('has none for an absent, an empty and a repeated header', () => {
    expect<bool>(traceIdOf(TraceFormat.Plain, NONE) === NONE).toBe(true);
    expect<string>(id(TraceFormat.Plain, ' ')).toBe('-');
    expect<string>(id(TraceFormat.Plain, 'a, b')).toBe('-');
  });

  it('leaves the digit out that tracing rewrites in a UUID', () => {
    const kept = id(TraceFormat.Plain, '8f14e45f-ceea-41d4-a716-446655440000');
    expect<string>(kept).toBe('8f14e45f-ceea-1d4-a716-446655440000');
    expect<string>(id(TraceFormat.Plain, '8f14e45f-ceea-91d4-a716-446655440000')).toBe(kept);
  });

  it('touches nothing that only resembles a UUID', () => {
    const near = '8f14e45f-ceea-41d4-a716-44665544000g';
    expect<string>(id(TraceFormat.Plain, near)).toBe(near);
    const shifted = '8f14e45fc-eea-41d4-a716-446655440000';
    expect<string>(id(TraceFormat.Plain, shifted)).toBe(shifted);
  });

  it('takes ids of any length and any byte', () => {
    const long = 'x'.repeat(60000);
    expect<i32>(id(TraceFormat.Plain, long).length).toBe(60000);
    expect<string>(id(TraceFormat.Plain, 'é\x7f')).toBe('é\x7f');
  });
});

describe('traceparent', () => {
  it('takes the trace id', () => {
    expect<string>(id(TraceFormat.Traceparent, PARENT)).toBe(HEX32);
  });

  it('takes a later version with more after it', () => {
    expect<string>(id(TraceFormat.Traceparent, `cc-${HEX32}-00f067aa0ba902b7-01-what`)).toBe(HEX32);
  });

  it('refuses what the recommendation calls invalid', () => {
    expect<string>(id(TraceFormat.Traceparent, `ff-${HEX32}-00f067aa0ba902b7-01`)).toBe('-', 'version ff');
    expect<string>(id(TraceFormat.Traceparent, `${PARENT}-what`)).toBe('-', 'version 00 goes on');
    expect<string>(id(TraceFormat.Traceparent, `cc-${HEX32}-00f067aa0ba902b7-01what`)).toBe('-', 'no dash');
    expect<string>(id(TraceFormat.Traceparent, PARENT.toUpperCase())).toBe('-', 'upper case');
    expect<string>(id(TraceFormat.Traceparent, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`)).toBe('-', 'zero trace id');
    expect<string>(id(TraceFormat.Traceparent, `00-${HEX32}-0000000000000000-01`)).toBe('-', 'zero parent');
    expect<string>(id(TraceFormat.Traceparent, `00-${HEX32}-00f067aa0ba902b7-0x`)).toBe('-', 'flags');
    expect<string>(id(TraceFormat.Traceparent, `00.${HEX32}-00f067aa0ba902b7-01`)).toBe('-', 'separator');
    expect<string>(id(TraceFormat.Traceparent, `0g-${HEX32}-00f067aa0ba902b7-01`)).toBe('-', 'version');
    expect<string>(id(TraceFormat.Traceparent, PARENT.substring(0, 54))).toBe('-', 'short');
    expect<string>(id(TraceFormat.Traceparent, `${PARENT}, ${PARENT}`)).toBe('-', 'twice');
    expect<string>(id(TraceFormat.Traceparent, '')).toBe('-', 'empty');
  });
});

describe('B3', () => {
  it('takes the trace id of both forms, without leading zeros', () => {
    expect<string>(id(TraceFormat.B3, `${HEX32}-00f067aa0ba902b7-1-00f067aa0ba902b8`)).toBe(HEX32);
    expect<string>(id(TraceFormat.B3, '00000000000000ab-00f067aa0ba902b7')).toBe('ab');
    expect<string>(id(TraceFormat.B3TraceId, HEX32)).toBe(HEX32);
    expect<string>(id(TraceFormat.B3TraceId, '000000000000000000000000000000ab')).toBe('ab');
  });

  it('has none in a decision alone, a wrong length, a wrong digit and zeros', () => {
    expect<string>(id(TraceFormat.B3, '0')).toBe('-');
    expect<string>(id(TraceFormat.B3, 'd')).toBe('-');
    expect<string>(id(TraceFormat.B3, `${HEX32}-`)).toBe('-');
    expect<string>(id(TraceFormat.B3, `${HEX32}`)).toBe('-');
    expect<string>(id(TraceFormat.B3, 'abc-00f067aa0ba902b7-1')).toBe('-');
    expect<string>(id(TraceFormat.B3TraceId, '00000000000000ag')).toBe('-');
    expect<string>(id(TraceFormat.B3TraceId, '0000000000000000')).toBe('-');
    expect<string>(id(TraceFormat.B3TraceId, '')).toBe('-');
  });
});

describe('sw8', () => {
  it('decodes the second field', () => {
    expect<string>(id(TraceFormat.Sw8, '1-dHJhY2UuMS4y-c2Vn-3-c3Zj-aW5z-L2E=-MTI3LjAuMC4xOjgw')).toBe('trace.1.2');
    expect<string>(id(TraceFormat.Sw8, '0-YWI=-c2Vn')).toBe('ab');
    expect<string>(id(TraceFormat.Sw8, '0-YWI-c2Vn')).toBe('ab', 'padding left out');
  });

  it('keeps the text of an id that is longer than 128 bytes', () => {
    const long = 'QUJD'.repeat(44);
    expect<string>(id(TraceFormat.Sw8, `1-${long}-c2Vn`)).toBe(long);
  });

  it('refuses other versions and what is not base64', () => {
    expect<string>(id(TraceFormat.Sw8, '2-YWI=-c2Vn')).toBe('-');
    expect<string>(id(TraceFormat.Sw8, '1-YW*=-c2Vn')).toBe('-');
    expect<string>(id(TraceFormat.Sw8, '1-YWIab-c2Vn')).toBe('-', 'impossible length');
    expect<string>(id(TraceFormat.Sw8, '1--c2Vn')).toBe('-');
    expect<string>(id(TraceFormat.Sw8, '1-===-c2Vn')).toBe('-');
    expect<string>(id(TraceFormat.Sw8, '1-YWI=')).toBe('-');
    expect<string>(id(TraceFormat.Sw8, '1')).toBe('-');
  });
});

describe('uber-trace-id', () => {
  it('takes the first of four fields, also escaped', () => {
    expect<string>(id(TraceFormat.UberTraceId, '3ab:1:0:1')).toBe('3ab');
    expect<string>(id(TraceFormat.UberTraceId, `${HEX32}:1:0:1`)).toBe(HEX32);
    expect<string>(id(TraceFormat.UberTraceId, '03AB%3A1%3a0%3A1')).toBe('3AB');
  });

  it('refuses anything else', () => {
    expect<string>(id(TraceFormat.UberTraceId, '3ab:1:0')).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, '3ab:1:0:1:2')).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, ':1:0:1')).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, '0:1:0:1')).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, 'xyz:1:0:1')).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, `0${HEX32}:1:0:1`)).toBe('-');
    expect<string>(id(TraceFormat.UberTraceId, '3ab%3')).toBe('-');
  });
});

describe('the sticky hash', () => {
  it('is the same for one id in every format and letter case', () => {
    const parent = stickyHash(traceIdOf(TraceFormat.Traceparent, ascii(PARENT)), 7);
    const b3 = stickyHash(traceIdOf(TraceFormat.B3TraceId, ascii(HEX32.toUpperCase())), 7);
    expect<u64>(b3).toBe(parent);
    expect<u64>(stickyHash(ascii('ABC'), 7)).toBe(hash64(ascii('abc'), 7));
  });

  it('does not change when tracing rewrites a request id', () => {
    const before = stickyHash(traceIdOf(TraceFormat.Plain, ascii('8f14e45f-ceea-41d4-a716-446655440000')));
    const after = stickyHash(traceIdOf(TraceFormat.Plain, ascii('8F14E45F-CEEA-A1D4-A716-446655440000')));
    expect<u64>(after).toBe(before);
  });

  it('spreads over rules by their salt', () => {
    expect<bool>(stickyHash(ascii('a'), 1) === stickyHash(ascii('a'), 2)).toBe(false);
  });
});
