import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dnsLabel } from '../../filters/lane-tagging/dns-label.ts';
import type { LaneTaggingConfig, TaggingRule } from '../../filters/lane-tagging/schema.ts';
import {
  EmulatedHost,
  type HeaderList,
  type HttpStream,
  LogLevel,
  type Properties,
  type Vm,
} from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const TAG = 'x-asm-traffic-lane';
const PREFIX = 'causeway_lane_tagging_';
const DEV2: TaggingRule = { name: 'dev2-user', lane: 'dev2', match: { header: { name: 'end-user', exact: 'dev2' } } };

let module: Uint8Array<ArrayBuffer>;
let host: EmulatedHost;
let vm: Vm;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

beforeEach(() => {
  host = new EmulatedHost(module);
});

function start(configuration: LaneTaggingConfig): void {
  vm = host.vm({ vmConfiguration: 'gateway', rootId: 'lane-tagging', configuration });
  expect(host.messages(LogLevel.Error)).toEqual([]);
  expect(vm.configured).toBe(true);
}

function send(headers: HeaderList, properties: Properties = {}): HttpStream {
  return vm.exchange({ requestHeaders: headers, properties });
}

/** The tag that goes upstream. */
function tagOf(headers: HeaderList, properties: Properties = {}): string | undefined {
  return send(headers, properties).requestHeaderMap.get(TAG);
}

/** The filter's counters that are not zero, without what all of them share. */
function counted(): Record<string, number> {
  vm.root.tick();
  const entries = Object.entries(host.metrics.nonZero()).filter(([name]) => name.startsWith(PREFIX));
  return Object.fromEntries(entries.map(([name, value]) => [name.slice(PREFIX.length).replace('_total', ''), value]));
}

/** Host calls while the request's headers pass, without the prefix that all names have. */
function hostCalls(headers: HeaderList, properties: Properties = {}): string[] {
  return send(headers, properties)
    .calls('proxy_on_request_headers')
    .map(({ name, args }) => [name.replace('proxy_', ''), String(args.at(-1)).replaceAll('\0', '.')].join(' '));
}

/** Which of the rules each request matches. */
function laneOf(match: TaggingRule['match'], headers: HeaderList, properties: Properties = {}): string | undefined {
  start({ rules: [{ lane: 'hit', match }] });
  return tagOf(headers, properties);
}

describe('rules', () => {
  it('give the tag of the first that matches', () => {
    start({ rules: [DEV2, { lane: 'dev1', match: { header: { name: 'end-user', present: true } } }] });
    expect(tagOf([['end-user', 'dev2']])).toBe('dev2');
    expect(tagOf([['end-user', 'jason']])).toBe('dev1');
    expect(tagOf([])).toBeUndefined();
    expect(counted()).toEqual({ 'tagged.rule.dev2-user.lane.dev2': 1, 'tagged.rule.1.lane.dev1': 1, untagged: 1 });
  });

  it('see header, cookie, query, path, method and caller', () => {
    expect(laneOf({ cookie: { name: 'lane', exact: 'a' } }, [['cookie', 'x=1; lane=a']])).toBe('hit');
    expect(laneOf({ header: { name: 'host', in: ['a', 'b'] } }, [[':authority', 'b']])).toBe('hit');
    expect(laneOf({ query: { name: 'lane', prefix: 'a b' } }, [[':path', '/p?lane=a%20bc']])).toBe('hit');
    expect(laneOf({ path: { suffix: 'page' } }, [[':path', '/productpage?x=y']])).toBe('hit');
    expect(laneOf({ method: { in: ['PUT', 'POST'] } }, [[':method', 'POST']])).toBe('hit');
    expect(laneOf({ caller: { cidrs: ['10.0.0.0/8'] } }, [], { 'source.address': '10.1.2.3:4711' })).toBe('hit');
    expect(laneOf({ caller: { cidrs: ['10.0.0.0/8'] } }, [], { 'source.address': '11.1.2.3:4711' })).toBeUndefined();
    const uri = { 'connection.uri_san_peer_certificate': 'spiffe://a', 'connection.subject_peer_certificate': 'CN=b' };
    expect(laneOf({ caller: { identity: { exact: 'spiffe://a' } } }, [], uri)).toBe('hit');
    expect(laneOf({ caller: { identity: { exact: 'CN=b' } } }, [], uri), 'the URI name hides it').toBeUndefined();
    const subject = { 'connection.subject_peer_certificate': 'CN=b' };
    expect(laneOf({ caller: { identity: { suffix: '=b' } } }, [], subject)).toBe('hit');
    expect(laneOf({ caller: { identity: { present: true } } }, [])).toBeUndefined();
  });

  it('draw the same traces on every hop, also where tracing rewrites the id', () => {
    const rules: TaggingRule[] = [{ name: 'ten', lane: 'canary', match: { percentage: { percent: 10 } } }];
    start({ rules });
    const other = host.vm({ label: 'another hop', rootId: 'lane-tagging', configuration: { rules } });
    let drawn = 0;
    for (let i = 0; i < 2000; i++) {
      const id = `${i.toString(16).padStart(8, '0')}-ceea-41d4-a716-446655440000`;
      const here = tagOf([['x-request-id', id]]);
      const there = other.exchange({ requestHeaders: [['x-request-id', id.replace('-41d4-', '-91d4-')]] });
      expect(there.requestHeaderMap.get(TAG)).toBe(here);
      if (here === 'canary') drawn++;
    }
    expect(drawn).toBeGreaterThan(130);
    expect(drawn).toBeLessThan(270);
    expect(tagOf([]), 'without a trace id').toBeUndefined();
  });

  it('take the trace id from the configured sources', () => {
    start({
      sources: [{ header: 'Traceparent' }, { header: 'x-my-trace' }],
      rules: [{ lane: 'all', match: { percentage: { percent: 100 } } }],
    });
    expect(tagOf([['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01']])).toBe('all');
    expect(tagOf([['x-my-trace', 'a']])).toBe('all');
    expect(tagOf([['x-request-id', 'a']])).toBeUndefined();
  });

  it('see the first of repeated headers', () => {
    start({ rules: [DEV2] });
    expect(
      tagOf([
        ['end-user', 'dev2'],
        ['end-user', 'jason'],
      ]),
    ).toBe('dev2');
    expect(
      tagOf([
        ['end-user', 'jason'],
        ['end-user', 'dev2'],
      ]),
    ).toBeUndefined();
  });

  it('use the configured tag header', () => {
    start({ tagHeader: 'X-Lane', rules: [DEV2] });
    expect(send([['end-user', 'dev2']]).requestHeaderMap.get('x-lane')).toBe('dev2');
  });

  it('pass over bytes of every kind', () => {
    start({ rules: [{ lane: 'odd', match: { header: { name: 'a', exact: 'zo\u00eb' } } }] });
    expect(tagOf([['a', Buffer.from('zo\u00eb', 'utf8')]])).toBe('odd');
    const every = Buffer.from(
      Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 10 && byte !== 13),
    );
    expect(
      tagOf([
        ['a', every],
        ['cookie', every],
        [':path', Buffer.concat([Buffer.from('/?'), every])],
      ]),
    ).toBeUndefined();
  });
});

describe('expressions', () => {
  const rules: TaggingRule[] = [
    { lane: 'odd', match: { not: { cel: 'a' } } },
    { lane: 'b', match: { cel: 'b' } },
  ];

  it('are evaluated by the host; whatever is not true is no match', () => {
    host.foreign.explain('b', (context) => context.readableMap(0)?.get('answer') === 'yes');
    start({ rules: rules.slice(1) });
    expect(tagOf([['answer', 'yes']])).toBe('b');
    expect(tagOf([['answer', 'no']])).toBeUndefined();
    host.foreign.explain('a', () => undefined);
    start({
      rules: [
        { lane: 'a', match: { cel: 'a' } },
        { lane: 'other', match: { not: { cel: 'a' } } },
      ],
    });
    expect(tagOf([]), 'an error is no match').toBe('other');
    host.foreign.explain('c', () => 'true');
    start({ rules: [{ lane: 'c', match: { cel: 'c' } }] });
    expect(tagOf([]), 'text is no boolean').toBeUndefined();
    host.foreign.define('expr_evaluate', () => ({ status: 2 }));
    expect(tagOf([])).toBeUndefined();
  });

  it('that the host does not compile refuse the configuration, with the path', () => {
    host.foreign.explain('a', () => true);
    vm = host.vm({ rootId: 'lane-tagging', configuration: { rules } });
    expect(vm.configured).toBe(false);
    expect(host.messages(LogLevel.Critical)).toEqual([
      'causeway: lane-tagging.rules[1].match.cel: found "b", expected an expression that Envoy compiles',
    ]);
    expect(host.calls.count('proxy_call_foreign_function'), 'create a, create b, delete a').toBe(3);
  });

  it('are deleted with their configuration', () => {
    host.foreign.explain('a', () => true);
    host.foreign.explain('b', () => true);
    start({ rules });
    const deleted: string[] = [];
    host.foreign.define('expr_delete', (argument) => {
      deleted.push(Buffer.from(argument, 'latin1').toString('hex'));
      return { status: 0 };
    });
    vm.reconfigure({ rules: [DEV2] });
    expect(deleted).toEqual(['00000000', '01000000']);
    expect(tagOf([['end-user', 'dev2']])).toBe('dev2');
  });
});

describe('trust', () => {
  const from = (address: string): Properties => ({ 'source.address': address });

  it('is nobody by default: the tag goes before rules run', () => {
    start({ rules: [DEV2] });
    expect(tagOf([[TAG, 'dev1']])).toBeUndefined();
    expect(
      tagOf([
        [TAG, 'dev1'],
        ['end-user', 'dev2'],
      ]),
    ).toBe('dev2');
    expect(tagOf([[TAG, '']]), 'an empty tag is none').toBe('');
    expect(counted()).toEqual({ untrusted_removed: 2, untagged: 2, 'tagged.rule.dev2-user.lane.dev2': 1 });
  });

  it('keeps the tag of a trusted address, before any rule', () => {
    start({ trust: { cidrs: ['127.0.0.1', '10.9.0.0/16', 'fd00::/8'] }, rules: [DEV2] });
    expect(
      tagOf(
        [
          [TAG, 'dev1'],
          ['end-user', 'dev2'],
        ],
        from('127.0.0.1:9'),
      ),
    ).toBe('dev1');
    expect(tagOf([[TAG, 'dev1']], from('10.9.8.7:9'))).toBe('dev1');
    expect(tagOf([[TAG, 'dev1']], from('[fd00::7]:9'))).toBe('dev1');
    expect(tagOf([[TAG, 'dev1']], from('10.8.8.7:9'))).toBeUndefined();
    expect(tagOf([[TAG, 'dev1']]), 'no address').toBeUndefined();
    expect(counted()).toEqual({ kept: 3, untrusted_removed: 2, untagged: 2 });
  });

  it('never believes X-Forwarded-For', () => {
    start({ trust: { cidrs: ['10.0.0.0/8'] } });
    const forged: HeaderList = [
      ['x-forwarded-for', '10.0.0.1'],
      ['x-real-ip', '10.0.0.1'],
      [TAG, 'dev1'],
    ];
    expect(tagOf(forged, from('192.0.2.1:9'))).toBeUndefined();
  });

  it('keeps the tag of a trusted identity', () => {
    start({ trust: { identities: ['spiffe://mesh/gateway', 'CN=api'] } });
    const uri = (name: string): Properties => ({ 'connection.uri_san_peer_certificate': name });
    expect(tagOf([[TAG, 'dev1']], uri('spiffe://mesh/gateway'))).toBe('dev1');
    expect(tagOf([[TAG, 'dev1']], uri('spiffe://mesh/gateway2'))).toBeUndefined();
    expect(tagOf([[TAG, 'dev1']], { 'connection.subject_peer_certificate': 'CN=api' })).toBe('dev1');
    expect(tagOf([[TAG, 'dev1']])).toBeUndefined();
  });

  it('can be everybody', () => {
    start({ trust: 'all', rules: [DEV2] });
    expect(
      tagOf([
        [TAG, 'dev1'],
        ['end-user', 'dev2'],
      ]),
    ).toBe('dev1');
  });
});

describe('a tag that is none', () => {
  const BAD: [string, HeaderList, string][] = [
    [
      'sent twice',
      [
        [TAG, 'dev1'],
        [TAG, 'dev2'],
      ],
      'duplicate',
    ],
    [
      'sent twice alike',
      [
        [TAG, 'dev1'],
        [TAG, 'dev1'],
      ],
      'duplicate',
    ],
    ['joined', [[TAG, 'dev1, dev2']], 'duplicate'],
    ['too long', [[TAG, 'a'.repeat(64)]], 'malformed'],
    ['with a blank', [[TAG, 'dev 1']], 'malformed'],
    ['with a dash at the end', [[TAG, 'dev1-']], 'malformed'],
    ['beyond ASCII', [[TAG, Buffer.from([0x64, 0xff])]], 'malformed'],
    ['60 kB of it', [[TAG, 'x'.repeat(60_000)]], 'malformed'],
  ];

  it.each(BAD)('%s goes, and the request goes on by the rules', (_what, headers, reason) => {
    start({ trust: 'all', rules: [DEV2] });
    expect(tagOf(headers)).toBeUndefined();
    expect(tagOf([...headers, ['end-user', 'dev2']])).toBe('dev2');
    expect(counted()).toMatchObject({ [`refused.reason.${reason}`]: 2 });
  });

  it.each(BAD)('%s is answered 400 when the failure mode is closed', (_what, headers, reason) => {
    start({ trust: 'all', rules: [DEV2], failureMode: 'closed' });
    const { clientResponse } = send([...headers, ['end-user', 'dev2']]);
    expect(clientResponse).toMatchObject({ status: 400, details: 'causeway_lane_tagging_refused' });
    expect(counted()).toEqual({ [`refused.reason.${reason}`]: 1 });
  });

  it('of a stranger is only removed', () => {
    start({ failureMode: 'closed' });
    expect(tagOf([[TAG, 'dev 1']])).toBeUndefined();
    expect(counted()).toEqual({ untrusted_removed: 1, untagged: 1 });
  });

  it('is no Kubernetes label value, and every label value is one', () => {
    start({ trust: 'all' });
    for (const good of ['a', 'Z9', 'a.b_c-d', '0'.repeat(63)]) expect(tagOf([[TAG, good]])).toBe(good);
    for (const bad of ['-a', 'a-', '.a', 'a_', 'a/b', 'a\tb', 'a%20b']) expect(tagOf([[TAG, bad]])).toBeUndefined();
  });
});

describe('host calls of a request', () => {
  const headers = 'get_header_map_pairs RequestHeaders';

  it('are one for all headers and one for the tag that is set', () => {
    start({ rules: [DEV2, { lane: 'dev1', match: { header: { name: 'user', exact: 'dev1' } } }] });
    expect(hostCalls([])).toEqual([headers]);
    expect(hostCalls([['end-user', 'dev2']])).toEqual([headers, 'add_header_map_value dev2']);
  });

  it('do not grow with rules', () => {
    const many = (count: number): TaggingRule[] =>
      Array.from({ length: count }, (_, i) => ({ lane: 'a', match: { header: { name: 'user', exact: `u${i}` } } }));
    for (const count of [1, 30, 300]) {
      start({ rules: many(count) });
      expect(hostCalls([['user', `u${count - 1}`]])).toHaveLength(2);
      expect(hostCalls([['user', 'nobody']])).toHaveLength(1);
    }
  });

  it('read of the connection only what trust names, and only for a tag', () => {
    start({ trust: { cidrs: ['10.0.0.0/8'], identities: ['a'] } });
    expect(hostCalls([])).toEqual([headers]);
    expect(hostCalls([[TAG, 'dev1']], { 'source.address': '10.0.0.1:1' })).toEqual([
      headers,
      'get_property source.address',
    ]);
    expect(hostCalls([[TAG, 'dev1']])).toEqual([
      headers,
      'get_property source.address',
      'get_property connection.uri_san_peer_certificate',
      'get_property connection.subject_peer_certificate',
      `remove_header_map_value ${TAG}`,
    ]);
  });

  it('are none where nothing else happens: responses and the log', () => {
    start({ rules: [DEV2] });
    const stream = send([['end-user', 'dev2']]);
    expect(stream.calls('proxy_on_response_headers')).toEqual([]);
    expect(stream.calls('proxy_on_log')).toEqual([]);
  });
});

describe('a new configuration', () => {
  it('is refused with its path, and the old one goes on', () => {
    start({ rules: [DEV2] });
    const fresh = vm.reconfigure({ rules: [{ lane: 'dev 2', match: { path: { exact: '/' } } }] });
    expect(fresh.configured).toBe(false);
    expect(host.messages(LogLevel.Critical)).toEqual([
      'causeway: lane-tagging.rules[0].lane: found "dev 2", expected a Kubernetes label value ' +
        '(1 to 63 letters, digits, ".", "_", "-", first and last a letter or digit)',
    ]);
    expect(tagOf([['end-user', 'dev2']])).toBe('dev2');
  });

  it('leaves memory where it was, however often it comes', () => {
    start({ rules: [DEV2] });
    const rules = Array.from({ length: 300 }, (_, i) => ({
      lane: 'a',
      match: { all: [{ header: { name: `h${i % 7}`, exact: `v${i}` } }, { path: { prefix: `/${i}` } }] },
    }));
    const memory = vm.instance.memory;
    // Until the heap has found its shape: it grows by doubling, and the collector runs when it likes.
    for (let i = 0; i < 120; i++) vm.reconfigure({ rules });
    const before = memory.size;
    for (let i = 0; i < 100; i++) vm.reconfigure({ rules });
    expect(memory.size - before).toBe(0);
  });
});

describe('the DNS label of a lane', () => {
  it('is the lane where that is one', () => {
    for (const lane of ['a', 'dev1', 'a-b', '0', 'x'.repeat(63)]) expect(dnsLabel(lane)).toBe(lane);
  });

  it('is always one, and another for each lane', () => {
    const lanes = ['a.b', 'a_b', 'A-b', 'a-B', 'Dev1', 'DEV1', `${'x'.repeat(62)}Y`, `${'x'.repeat(61)}.Y`, 'a._-b'];
    const labels = lanes.map(dnsLabel);
    for (const label of labels) expect(label).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    expect(new Set(labels).size).toBe(lanes.length);
  });

  it('is the one that AssemblyScript computes', () => {
    // The same values stand in test/policy/lane-tagging.spec.ts.
    expect(dnsLabel('Dev1')).toBe('dev1-t6dpxab');
    expect(dnsLabel('a.b')).toBe('a-b-kwdnkaa');
    expect(dnsLabel('a_b')).toBe('a-b-vuinkaa');
    expect(dnsLabel(`${'x'.repeat(62)}Y`)).toBe(`${'x'.repeat(55)}-cfqxfik`);
  });
});
