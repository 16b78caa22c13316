import {
  addressHigh,
  addressLow,
  inBlock,
  parseAddress,
  parseCidr,
  prefixBits,
} from 'proxy-wasm-assemblyscript-sdk/config/cidr';
import { matchesFormat } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { unpack } from 'proxy-wasm-assemblyscript-sdk/config/unpack';
import { ascii, lenOf, NONE, slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { dnsLabel } from '../../filters/lane-tagging/dns-label';
import { Block } from '../../filters/lane-tagging/matcher.policy';
import { judgeTag, TagVerdict, TrustPolicy } from '../../filters/lane-tagging/policy';

function verdict(tag: string): TagVerdict {
  return judgeTag(ascii(tag));
}

function trust(cidrs: string[], identities: string[]): TrustPolicy {
  const blocks = new StaticArray<Block>(cidrs.length);
  for (let i = 0; i < cidrs.length; i++) {
    expect<bool>(parseCidr(ascii(cidrs[i]))).toBe(true);
    blocks[i] = new Block(addressHigh, addressLow, prefixBits);
  }
  const names = new StaticArray<u64>(identities.length);
  for (let i = 0; i < identities.length; i++) names[i] = ascii(identities[i]);
  return new TrustPolicy(false, blocks, names);
}

function address(written: string): string {
  const s = ascii(written);
  return parseAddress(s, 0, lenOf(s)) ? `${addressHigh.toString(16)}:${addressLow.toString(16)}` : 'none';
}

function holds(format: string, value: string): bool {
  return matchesFormat(ascii(format), ascii(value));
}

describe('a tag', () => {
  it('is a Kubernetes label value', () => {
    expect<i32>(verdict('dev1')).toBe(TagVerdict.Valid);
    expect<i32>(verdict('A.b_c-9')).toBe(TagVerdict.Valid);
    expect<i32>(verdict('x'.repeat(63))).toBe(TagVerdict.Valid);
    expect<i32>(verdict('x'.repeat(64))).toBe(TagVerdict.Malformed);
    expect<i32>(verdict('-a')).toBe(TagVerdict.Malformed);
    expect<i32>(verdict('a ')).toBe(TagVerdict.Malformed);
    expect<i32>(verdict('é')).toBe(TagVerdict.Malformed);
  });

  it('is a duplicate where a comma joins values', () => {
    expect<i32>(verdict('a,b')).toBe(TagVerdict.Duplicate);
    expect<i32>(verdict('a, a')).toBe(TagVerdict.Duplicate);
    expect<i32>(verdict(',')).toBe(TagVerdict.Duplicate);
  });
});

describe('trust', () => {
  it('asks only for what it names', () => {
    expect<bool>(trust([], []).asksAddress).toBe(false);
    expect<bool>(trust([], []).asksIdentity).toBe(false);
    expect<bool>(trust(['10.0.0.0/8'], []).asksAddress).toBe(true);
    expect<bool>(trust([], ['a']).asksIdentity).toBe(true);
  });

  it('believes addresses in its blocks, with or without port', () => {
    const policy = trust(['10.0.0.0/8', '2001:db8::/32'], []);
    expect<bool>(policy.trustsAddress(ascii('10.1.2.3:80'))).toBe(true);
    expect<bool>(policy.trustsAddress(ascii('10.1.2.3'))).toBe(true);
    expect<bool>(policy.trustsAddress(ascii('[2001:db8::1]:80'))).toBe(true);
    expect<bool>(policy.trustsAddress(ascii('2001:db8::1'))).toBe(true);
    expect<bool>(policy.trustsAddress(ascii('11.1.2.3:80'))).toBe(false);
    expect<bool>(policy.trustsAddress(ascii('10.1.2.3, 10.1.2.4'))).toBe(false);
    expect<bool>(policy.trustsAddress(ascii(''))).toBe(false);
    expect<bool>(policy.trustsAddress(NONE)).toBe(false);
  });

  it('believes an identity as a whole', () => {
    const policy = trust([], ['spiffe://a', 'CN=b']);
    expect<bool>(policy.trustsIdentity(ascii('CN=b'))).toBe(true);
    expect<bool>(policy.trustsIdentity(ascii('CN=bc'))).toBe(false);
    expect<bool>(policy.trustsIdentity(NONE)).toBe(false);
  });
});

describe('addresses', () => {
  it('have one form for both families', () => {
    expect<string>(address('1.2.3.4')).toBe('0:ffff01020304');
    expect<string>(address('::ffff:1.2.3.4')).toBe('0:ffff01020304');
    expect<string>(address('::')).toBe('0:0');
    expect<string>(address('::1')).toBe('0:1');
    expect<string>(address('2001:DB8::a:b')).toBe('20010db800000000:a000b');
    expect<string>(address('1:2:3:4:5:6:7:8')).toBe('1000200030004:5000600070008');
    expect<string>(address('1:2:3:4:5:6:7::')).toBe('1000200030004:5000600070000');
    expect<string>(address('::2:3:4:5:6:7:8')).toBe('200030004:5000600070008');
    expect<string>(address('1::8')).toBe('1000000000000:8');
  });

  it('are refused where they are none', () => {
    const odd = ['', '1', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.', ':', ':1', '1:', '1:::2', '::1::'];
    for (let i = 0; i < odd.length; i++) expect<string>(address(odd[i])).toBe('none');
    const more = [
      '12345::',
      'g::',
      '1:2:3:4:5:6:7:8:9',
      '1::2:3:4:5:6:7:8',
      '::1.2.3',
      '1.2.3.4::',
      'fe80::1%eth0',
      '1.2.3.4 ',
    ];
    for (let i = 0; i < more.length; i++) expect<string>(address(more[i])).toBe('none');
  });

  it('lie in blocks of every length', () => {
    expect<bool>(parseCidr(ascii('ffff:ffff::/31'))).toBe(true);
    expect<bool>(inBlock(0xffffffff00000000, 1, addressHigh, addressLow, prefixBits)).toBe(true);
    expect<bool>(inBlock(0xfffffffdffffffff, 1, addressHigh, addressLow, prefixBits)).toBe(false);
    expect<bool>(inBlock(1, 2, 3, 4, 0)).toBe(true);
    expect<bool>(inBlock(1, 2, 1, 3, 64)).toBe(true);
    expect<bool>(inBlock(1, 2, 1, 3, 127)).toBe(true);
    expect<bool>(inBlock(1, 2, 1, 3, 128)).toBe(false);
    expect<bool>(inBlock(1, 2, 1, 0x8000000000000002, 65)).toBe(false);
  });
});

describe('formats', () => {
  it('refuse everything under a name that nobody knows', () => {
    expect<bool>(holds('colour', 'red')).toBe(false);
  });
});

describe('the DNS label of a lane', () => {
  it('is the one that TypeScript computes', () => {
    // The same values stand in test/filters/lane-tagging.test.ts.
    expect<string>(dnsLabel('dev1')).toBe('dev1');
    expect<string>(dnsLabel('Dev1')).toBe('dev1-t6dpxab');
    expect<string>(dnsLabel('a.b')).toBe('a-b-kwdnkaa');
    expect<string>(dnsLabel('a_b')).toBe('a-b-vuinkaa');
    expect<string>(dnsLabel(`${'x'.repeat(62)}Y`)).toBe(`${'x'.repeat(55)}-cfqxfik`);
  });
});

describe('packed text', () => {
  it('repeats what is behind it, also over itself', () => {
    const packed = ascii('ab');
    const bytes = heap.alloc(8);
    memory.copy(bytes, (packed >> 32) as usize, 2);
    // Five characters from one back, then four from seven back.
    store<u32>(bytes, 0x80010081, 2);
    store<u16>(bytes, 0x0700, 6);
    expect<string>(text(unpack(slice(bytes, 8), 11))).toBe('abbbbbbabbb');
  });
});
