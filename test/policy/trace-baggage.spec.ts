import { ascii, EMPTY, lenOf, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { droppedMembers, MAX_BYTES, memberOf, withMember } from '../../filters/trace-propagation/baggage';

const KEY = ascii('lane');
const DEV1 = ascii('dev1');

function member(baggage: string): string {
  const found = memberOf(ascii(baggage), KEY);
  return found === NONE ? '-' : text(found);
}

function written(baggage: string, tag: Slice = DEV1): string {
  const result = withMember(ascii(baggage), KEY, tag);
  return result === NONE ? 'as it is' : text(result);
}

describe('reading the tag from baggage', () => {
  it('finds it among others, with blanks and properties', () => {
    expect<string>(member('lane=dev1')).toBe('dev1');
    expect<string>(member('a=b , lane = dev1 ; ttl=3;x , c=d')).toBe('dev1');
    expect<string>(member('a=b,lane=dev1')).toBe('dev1');
  });

  it('takes the key as a whole and by case', () => {
    expect<string>(member('xlane=a,lane2=b,Lane=c')).toBe('-');
    expect<string>(member('')).toBe('-');
    expect<string>(member('lane')).toBe('-');
    expect<bool>(memberOf(NONE, KEY) === NONE).toBe(true);
  });

  it('decodes per cent', () => {
    expect<string>(member('lane=de%76%31')).toBe('dev1');
    expect<string>(member('lane=%64%65%76%2D%2d1')).toBe('dev--1');
  });

  it('refuses bad encodings, long values and contradictions', () => {
    expect<string>(member('lane=dev%3')).toBe('-');
    expect<string>(member('lane=dev%zz')).toBe('-');
    expect<string>(member('lane=%')).toBe('-');
    expect<string>(member('lane=' + 'a'.repeat(63))).toBe('a'.repeat(63));
    expect<string>(member('lane=' + 'a'.repeat(64))).toBe('-');
    expect<string>(member('lane=dev1,lane=dev2')).toBe('-');
    expect<string>(member('lane=dev1,lane=dev1')).toBe('dev1');
  });
});

describe('writing the tag into baggage', () => {
  it('adds, replaces and removes it, keeping the others', () => {
    expect<string>(written('')).toBe('lane=dev1');
    expect<string>(written('a=b;p=1, c=d')).toBe('lane=dev1,a=b;p=1,c=d');
    expect<string>(written('a=b,lane=x,c=d,lane=y')).toBe('lane=dev1,a=b,c=d');
    expect<string>(written('a=b,lane=x,c=d', NONE)).toBe('a=b,c=d');
    expect<bool>(withMember(ascii('lane=x'), KEY, NONE) === EMPTY).toBe(true);
    expect<bool>(text(withMember(NONE, KEY, DEV1)) === 'lane=dev1').toBe(true);
  });

  it('leaves alone what is right already', () => {
    expect<string>(written('a=b, lane=dev1;p=2')).toBe('as it is');
    expect<string>(written('a=b', NONE)).toBe('as it is');
    expect<string>(written('', NONE)).toBe('as it is');
    expect<string>(written('lane=dev1,lane=dev1')).toBe('lane=dev1');
  });

  it('keeps to 8192 bytes by leaving out whole members from the end', () => {
    const member = 'k=' + 'v'.repeat(98);
    let baggage = member;
    while (baggage.length < 60000) baggage += ',' + member;
    const result = withMember(ascii(baggage), KEY, DEV1);
    expect<i32>(lenOf(result)).toBeLessThan(MAX_BYTES + 1);
    expect<bool>(text(result).endsWith(',' + member)).toBe(true);
    expect<i32>(droppedMembers()).toBeGreaterThan(500);
    expect<string>(text(memberOf(result, KEY))).toBe('dev1');
  });

  it('keeps to 180 members', () => {
    let baggage = 'a=1';
    for (let i = 1; i < 200; i++) baggage += ',a=1';
    expect<i32>(written(baggage).split(',').length).toBe(180);
    expect<i32>(droppedMembers()).toBe(21);
    written('a=b');
    expect<i32>(droppedMembers()).toBe(0);
  });

  it('drops a member that is too long on its own', () => {
    expect<string>(written('a=' + 'b'.repeat(9000))).toBe('lane=dev1');
  });

  it('takes bytes that are no text', () => {
    expect<string>(written('=,;,é=ü,,lane')).toBe('lane=dev1,=,;,é=ü,lane');
  });
});
