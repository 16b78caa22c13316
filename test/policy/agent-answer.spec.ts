import { ascii, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Answer } from '../../filters/agent/answer';
import { isHost, isServiceName } from '../../filters/agent/centre-records';

const answer = new Answer();

describe('an answer', () => {
  it('is read in any order, with fields that are not known, whatever the space between', () => {
    const body = `\n{ "refused":0, "nextMs" : 2000,"extra":{"a":[1,{"b":"\\"]"}],"c":null},
      "verdicts":[{"reason":"2 \\"of\\" 3","expiresInMs":30000,"version":8,"verdict":"restart","host":"127.0.0.2:80","service":"reviews"},
      {"service":"a","host":"[::1]:1","verdict":"ok","version":9,"expiresInMs":0,"reason":""}],"version":9}`;
    expect<bool>(answer.read(ascii(body))).toBe(true);
    expect<i64>(answer.version).toBe(9);
    expect<i64>(answer.nextMs).toBe(2000);
    expect<i32>(answer.count).toBe(2);
    expect<string>(text(answer.services[0])).toBe('reviews');
    expect<string>(text(answer.hosts[0])).toBe('127.0.0.2:80');
    expect<i64>(answer.versions[0]).toBe(8);
    expect<i64>(answer.expires[0]).toBe(30000);
    expect<bool>(answer.out[0]).toBe(true);
    expect<bool>(answer.out[1]).toBe(false);
  });

  it('that is cut off anywhere is none', () => {
    const body =
      '{"version":9,"nextMs":5,"verdicts":[{"service":"a","host":"b","verdict":"ok","version":9,"expiresInMs":0}]}';
    for (let end = 0; end < body.length; end++) {
      expect<bool>(answer.read(ascii(body.substring(0, end)))).toBe(false);
      expect<i32>(answer.count).toBe(0);
    }
    expect<bool>(answer.read(ascii(body))).toBe(true);
  });

  it('nests only so deep', () => {
    const nested = (depth: i32): string =>
      '{"version":9,"nextMs":5,"verdicts":[],"x":' + '['.repeat(depth) + ']'.repeat(depth) + '}';
    expect<bool>(answer.read(ascii(nested(8)))).toBe(true);
    expect<bool>(answer.read(ascii(nested(9)))).toBe(false);
  });
});

describe('names', () => {
  it('of services are those of the centre', () => {
    const good: string[] = ['a', 'reviews', 'a-b', '0', 'a'.repeat(40)];
    const bad: string[] = ['', '-a', 'a-', 'A', 'a.b', 'a_b', 'a'.repeat(41), 'a"b'];
    for (let i = 0; i < good.length; i++) expect<bool>(isServiceName(ascii(good[i]))).toBe(true);
    for (let i = 0; i < bad.length; i++) expect<bool>(isServiceName(ascii(bad[i]))).toBe(false);
  });

  it('of hosts are addresses with a port', () => {
    const good: string[] = ['127.0.0.1:80', '[::1]:65535', '[fe80::1]:9080'];
    const bad: string[] = [
      '',
      ':80',
      '127.0.0.1',
      '127.0.0.1:',
      '127.0.0.1:123456',
      '/run/a.sock',
      'localhost:80',
      '1"2.3:80',
      '12:80',
    ];
    for (let i = 0; i < good.length; i++) expect<bool>(isHost(ascii(good[i]))).toBe(true);
    for (let i = 0; i < bad.length; i++) expect<bool>(isHost(ascii(bad[i]))).toBe(false);
  });
});
