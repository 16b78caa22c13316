/** Random and mutated requests: near enough to what the rules ask for that every branch is taken. */
import type { Random } from './random.ts';
import type { Connection, Header } from './request.ts';
import type { Scenario } from './scenarios.ts';
import { mutated, traceValue } from './trace-values.ts';

export interface FuzzedRequest {
  /** Names in lower case, as Envoy hands them on; pseudo-headers first. */
  readonly headers: Header[];
  readonly connection: Connection;
}

const TOKEN = "abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~";
const LANES = ['dev1', 'dev2', 'gold', 'transfer', 'island', 'vault', 'base', 'prod', 'left', 'unheard-of', 'A.b_c-9'];
const AUTHORITIES = ['reviews', 'Reviews:9080', 'ratings:9080', 'RATINGS:9080', 'details:9080', '[::1]:9080', 'x.test'];
const PATHS = ['/', '/reviews/1', '/reviews', '/a.php', '/productpage', '*', '/%72eviews/', '//', '/reviews/../x'];
const QUERIES = [
  'lane=gold',
  'lane=g%6Fld',
  'deep',
  'type=transfer',
  'deep=&type=tr+ansfer',
  '=',
  'lane',
  '%6cane=go%',
];
const METHODS = ['GET', 'GET', 'GET', 'POST', 'HEAD', 'OPTIONS', 'get', 'PURGE'];
const COOKIES = [
  'lane=dev1',
  'lane="a b"',
  'Lane=dev1',
  ' lane = one ',
  'x=1',
  'lane',
  '=dev1',
  'lane=""',
  'a="b;lane=one"',
];
const ADDRESSES = ['10.1.2.3:41000', '10.1.200.1:1', '[::1]:5', '[2001:db8::7]:443', '192.0.2.1:80', '10.2.0.1', ''];
const IDENTITIES = ['spiffe://mesh/ns/x/sa/front', 'spiffe://mesh/ns/y/sa/tester', 'spiffe://other', ''];
const INTERNAL = [
  'x-causeway-lane',
  'x-causeway-fallback-list',
  'x-causeway-strict',
  'x-causeway-redirect',
  'x-causeway-redirected',
  'x-causeway-tls',
];
const LONGEST = 60_000;

/** What requests of one run have in common: ids that come back, so that look-ups hit. */
export class RequestMaker {
  readonly #scenario: Scenario;
  readonly #ids = new Map<string, string[]>();

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
  }

  make(random: Random): FuzzedRequest {
    const headers: Header[] = [
      [':method', this.#maybeMutated(random, random.pick(METHODS), 0.03)],
      [':path', this.#path(random)],
      [':authority', this.#maybeMutated(random, random.pick(AUTHORITIES), 0.1)],
      [':scheme', 'http'],
    ];
    const add = (name: string, value: string): void => {
      headers.push([name, value]);
    };
    for (let times = random.pick([0, 0, 0, 1, 1, 1, 1, 2]); times > 0; times--) {
      add(this.#scenario.tagHeader, this.#tag(random));
    }
    for (const [name, format] of this.#scenario.traceHeaders) {
      for (let times = random.pick([0, 1, 1, 1, 1, 1, 1, 2]); times > 0; times--)
        add(name, this.#trace(random, format));
    }
    for (let times = random.pick([0, 0, 1, 1, 2]); times > 0; times--) add('baggage', this.#baggage(random));
    for (let times = random.pick([0, 0, 0, 1, 1, 2]); times > 0; times--) {
      const parts = Array.from({ length: random.between(1, 4) }, () => random.pick(COOKIES));
      add('cookie', this.#maybeMutated(random, parts.join(random.pick([';', '; '])), 0.2));
    }
    const words: Header[] = [
      ['end-user', random.pick(['dev2', 'dev2', 'DEV2', 'dev22'])],
      ['x-word', random.pick(['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'Alpha', ''])],
      ['x-a', random.pick(['', '1'])],
      ['x-cel', random.pick(['abc', 'f', 'fg', 'ABC', '', 'a\xff'])],
      ['x-b', random.bytes(random.below(5))],
      ['x-load-test', random.pick(['1', '1 ', '0'])],
      [random.pick(INTERNAL), random.pick(['1', 'unit9', random.bytes(8)])],
    ];
    for (const [name, value] of words) {
      if (!random.chance(0.15)) continue;
      add(name, this.#maybeMutated(random, value, 0.2));
      if (random.chance(0.1)) add(name, random.pick(['', value]));
    }
    for (let times = random.pick([0, 1, 2, 5, 30]); times > 0; times--) {
      add(`x-${random.text(random.between(1, 20), TOKEN)}`, random.bytes(random.below(40)));
    }
    if (random.chance(0.01)) this.#lengthen(random, headers);
    return { headers, connection: this.#connection(random) };
  }

  #connection(random: Random): Connection {
    return {
      sourceAddress: random.chance(0.1) ? undefined : this.#maybeMutated(random, random.pick(ADDRESSES), 0.05),
      uriName: random.chance(0.5) ? undefined : random.pick(IDENTITIES),
      subject: random.chance(0.5) ? undefined : random.pick([...IDENTITIES, 'CN=/sa/tester']),
    };
  }

  #maybeMutated(random: Random, value: string, probability: number): string {
    return random.chance(probability) ? mutated(random, value) : value;
  }

  #path(random: Random): string {
    let path = random.pick(PATHS);
    if (random.chance(0.4)) {
      const parameters = Array.from({ length: random.between(1, 3) }, () => random.pick(QUERIES));
      path += `?${parameters.join(random.pick(['&', '&&', ';']))}`;
    }
    if (random.chance(0.03)) path += `#${random.pick(['', 'x?lane=gold', '&deep'])}`;
    return this.#maybeMutated(random, path, 0.15);
  }

  #tag(random: Random): string {
    if (random.chance(0.05)) return '';
    return this.#maybeMutated(random, random.pick(LANES), 0.15);
  }

  /** An id that was there before, or a new one. */
  #trace(random: Random, format: Parameters<typeof traceValue>[1]): string {
    const known = this.#ids.get(format) ?? [];
    if (known.length > 0 && random.chance(0.7)) return this.#maybeMutated(random, random.pick(known), 0.1);
    const value = traceValue(random, format);
    if (known.length < 60) known.push(value);
    else known[random.below(known.length)] = value;
    this.#ids.set(format, known);
    return value;
  }

  /** Without line ends, which no header can have: the filter writes this one's bytes into a header again. */
  #baggage(random: Random): string {
    const count = random.chance(0.03) ? random.below(300) : random.below(6);
    const members = Array.from({ length: count }, (_, i) => {
      if (random.chance(count < 10 ? 0.4 : 0.01))
        return `lane=${this.#tag(random)}${random.pick(['', ';p', ' ; p=1', '%41', '%4'])}`;
      return `${random.pick([`k${i}`, ` k ${i}`, '', 'LANE', 'lane '])}=${random.bytes(random.below(20))}`;
    });
    const baggage = members.join(random.pick([',', ' , ', ',,']));
    return this.#maybeMutated(random, baggage, 0.2).replace(/[\n\r]/g, ' ');
  }

  /** Makes one header as long as Envoy takes it. */
  #lengthen(random: Random, headers: Header[]): void {
    const at = random.below(headers.length);
    const [name = '', value = ''] = headers[at] ?? [];
    const more = random.pick(['x', ',', '%41', ';', '=', '\xff', 'lane=dev1;', '0']);
    headers[at] = [name, (value + more.repeat(LONGEST)).slice(0, random.between(1_000, LONGEST))];
  }
}
