import { ascii, lenOf, ptrOf, Slice, slice, sub, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { HostScanner, Outcome } from '../../filters/agent/host-scanner';
import {
  BlobWriter,
  CLUSTER_HEADER,
  findCluster,
  HOST_HEADER,
  HostFacts,
  isBlob,
  MAX_HOSTS,
  padded,
  usable,
} from '../../filters/agent/layout';
import { Pace, pressureOf } from '../../filters/agent/policy';

const TWO =
  '{"cluster_statuses":[{"name":"a","host_statuses":[' +
  '{"address":{"socket_address":{"address":"10.0.0.1","port_value":80}},"weight":2},' +
  '{"address":{"socket_address":{"address":"fe80::1","port_value":65535}},"health_status":{"failed_outlier_check":true}}]}]}';

const writer = new BlobWriter();
const scanner = new HostScanner();

/** Scans in pieces of `size` bytes. */
function scan(document: string, size: i32, cluster: string = 'a'): Outcome {
  const bytes = ascii(document);
  const name = ascii(cluster);
  writer.begin();
  writer.beginCluster(name, 7);
  scanner.begin(writer, name);
  for (let at = 0; at < lenOf(bytes); at += size) {
    if (!scanner.feed(sub(bytes, at, at + size))) break;
  }
  const outcome = scanner.end();
  if (outcome === Outcome.Listed) writer.endCluster();
  else writer.dropCluster();
  return outcome;
}

/** Addresses in the writer's list of cluster `a`. */
function addresses(): string {
  const cluster = findCluster(writer.finish(1), ascii('a'));
  let at = ptrOf(cluster) + CLUSTER_HEADER + 8;
  const end = ptrOf(cluster) + lenOf(cluster);
  const found: string[] = [];
  while (at < end) {
    const length = load<u16>(at, 36) as i32;
    found.push(text(slice(at + HOST_HEADER, length)) + (usable(load<u8>(at, 38)) ? '' : ' down'));
    at += HOST_HEADER + padded(length);
  }
  return found.join(', ');
}

describe('the scanner', () => {
  it('reads the same in pieces of any size', () => {
    for (let size = 1; size < 400; size++) {
      expect<i32>(scan(TWO, size)).toBe(Outcome.Listed);
      expect<string>(addresses()).toBe('10.0.0.1:80, [fe80::1]:65535 down');
    }
  });

  it('takes no prefix of a document for a document', () => {
    for (let length = 0; length < TWO.length; length++) {
      expect<i32>(scan(TWO.substring(0, length), 64)).toBe(Outcome.Malformed);
    }
  });

  it('tells another cluster from none', () => {
    expect<i32>(scan(TWO, 64, 'b')).toBe(Outcome.Absent);
    expect<i32>(scan('{}', 64)).toBe(Outcome.Absent);
    expect<i32>(scan('[]', 64)).toBe(Outcome.Malformed);
    expect<i32>(scan('', 64)).toBe(Outcome.Malformed);
  });

  it('finds nothing where words stand in other places', () => {
    expect<i32>(scan('{"x":{"cluster_statuses":[{"name":"a","host_statuses":[]}]}}', 9)).toBe(Outcome.Absent);
    expect<i32>(
      scan('{"cluster_statuses":[{"name":"a","x":{"host_statuses":[{"address":{"pipe":{"path":"/p"}}}]}}]}', 9),
    ).toBe(Outcome.Listed);
    expect<string>(addresses()).toBe('');
  });
});

describe('the lists', () => {
  it('end at the most hosts', () => {
    const facts = new HostFacts();
    const address = ascii('1.2.3.4:5');
    writer.begin();
    expect<bool>(writer.beginCluster(ascii('a'), 1)).toBe(true);
    for (let i = 0; i < MAX_HOSTS; i++) expect<bool>(writer.host(address, facts)).toBe(true);
    expect<bool>(writer.host(address, facts)).toBe(false);
    writer.dropCluster();
    expect<i32>(writer.hosts).toBe(0);
    expect<i32>(lenOf(writer.finish(1))).toBe(16);
  });

  it('are refused in another layout', () => {
    writer.begin();
    const blob = writer.finish(1);
    expect<bool>(isBlob(blob)).toBe(true);
    store<u32>(ptrOf(blob), 99);
    expect<bool>(isBlob(blob)).toBe(false);
    expect<Slice>(findCluster(blob, ascii('a'))).toBe(0);
    expect<bool>(isBlob(0)).toBe(false);
  });
});

describe('the pace', () => {
  it('keeps the cost within the share', () => {
    const pace = new Pace(1000, 50);
    expect<u64>(pace.period()).toBe(1000);
    for (let i = 0; i < 4; i++) pace.spent(10_000_000);
    expect<u64>(pace.period()).toBe(2000);
    for (let i = 0; i < 4; i++) pace.spent(1_000_000);
    expect<u64>(pace.period()).toBe(1000);
  });

  it('forgives a stall, not a lasting cost', () => {
    const pace = new Pace(1000, 50);
    for (let i = 0; i < 4; i++) pace.spent(1_000_000);
    pace.spent(900_000_000);
    expect<u64>(pace.period()).toBe(1000);
    for (let i = 0; i < 4; i++) pace.spent(900_000_000);
    expect<u64>(pace.period()).toBe(180_000);
  });

  it('has a longest period, and takes an absurd cost for none', () => {
    const pace = new Pace(1000, 1);
    for (let i = 0; i < 8; i++) pace.spent(59_000_000_000);
    expect<u64>(pace.period()).toBe(300_000);
    for (let i = 0; i < 8; i++) pace.spent(u64.MAX_VALUE);
    expect<u64>(pace.period()).toBe(1000);
  });
});

describe('pressure', () => {
  it('is a whole percent at the end of its line', () => {
    expect<i32>(pressureOf(ascii('overload.x.pressure: 0\n'))).toBe(0);
    expect<i32>(pressureOf(ascii('overload.x.pressure: 100'))).toBe(1000);
    expect<i32>(pressureOf(ascii('overload.x.pressure: 7\r\n'))).toBe(70);
    expect<i32>(pressureOf(ascii('overload.x.pressure: '))).toBe(-1);
    expect<i32>(pressureOf(ascii('overload.x.pressure: 101'))).toBe(-1);
    expect<i32>(pressureOf(ascii('overload.x.pressure: 99999999999999999999'))).toBe(-1);
    expect<i32>(pressureOf(ascii('overload.x.pressure: 1.5'))).toBe(-1);
    expect<i32>(pressureOf(0)).toBe(-1);
  });
});
