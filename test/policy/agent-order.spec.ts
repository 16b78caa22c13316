import { ascii } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Order, OrderAnswer } from '../../filters/agent/order';

const NOW: i64 = 1_800_000_000_000;
const answer = new OrderAnswer();

function read(body: string): bool {
  return answer.read(ascii(body));
}

function said(isolated: bool, version: i64, expires: i64 = 60_000): OrderAnswer {
  read(`{"isolated":${isolated ? 'true' : 'false'},"version":${version},"expiresInMs":${expires}}`);
  return answer;
}

describe('an answer about this instance', () => {
  it('is read in any order, with fields that are not known', () => {
    const body = ' { "expiresInMs": 5, "x": [{"isolated": false}], "isolated" : true , "instance":"a", "version":7 }\n';
    expect<bool>(read(body)).toBe(true);
    expect<bool>(answer.isolated).toBe(true);
    expect<i64>(answer.version).toBe(7);
    expect<i64>(answer.expires).toBe(5);
  });

  it('that is cut off anywhere is none', () => {
    const body = '{"isolated":true,"version":7,"expiresInMs":5}';
    for (let end = 0; end < body.length; end++) expect<bool>(read(body.substring(0, end))).toBe(false);
    expect<bool>(read(body)).toBe(true);
  });

  it('is none with a key twice, another type, no version, an isolation of no version or of more than a minute', () => {
    expect<bool>(read('{"isolated":true,"isolated":false,"version":7,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":true,"version":7,"version":8,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":"true","version":7,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":truer,"version":7,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":1,"version":7,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":true,"version":-7,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":true,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":true,"version":0,"expiresInMs":5}')).toBe(false);
    expect<bool>(read('{"isolated":true,"version":7,"expiresInMs":60001}')).toBe(false);
    expect<bool>(read('{"version":7,"expiresInMs":5}')).toBe(false);
  });
});

describe('an order', () => {
  it('holds for as long as was said, and again with each answer', () => {
    const order = new Order();
    expect<bool>(order.take(said(true, NOW, 1_000), NOW)).toBe(true);
    expect<i64>(order.until).toBe(NOW + 1_000);
    expect<i64>(order.known).toBe(NOW);
    order.take(said(true, NOW, 1_000), NOW + 500);
    expect<i64>(order.until).toBe(NOW + 1_500);
    order.take(said(false, NOW + 1, 0), NOW + 600);
    expect<i64>(order.until).toBe(0);
  });

  it('that is older than what is known, or a day ahead, is not taken', () => {
    const order = new Order();
    order.take(said(false, NOW), NOW);
    expect<bool>(order.take(said(true, NOW - 1), NOW)).toBe(false);
    expect<bool>(order.take(said(true, NOW + 86_400_001), NOW)).toBe(false);
    expect<i64>(order.until).toBe(0);
    expect<bool>(order.take(said(true, NOW + 1), NOW)).toBe(true);
  });

  it('neither ends nor goes on by the word of a centre that knows of none', () => {
    const order = new Order();
    order.take(said(true, NOW, 1_000), NOW);
    expect<bool>(order.take(said(false, 0, 0), NOW + 500)).toBe(true);
    expect<i64>(order.until).toBe(NOW + 1_000);
    expect<i64>(order.known).toBe(0);
    expect<bool>(order.take(said(true, NOW - 5), NOW)).toBe(false);
  });
});
