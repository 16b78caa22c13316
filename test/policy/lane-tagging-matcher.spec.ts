import { parseError, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, equal, hash64, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { CelHost, MatchCompiler } from '../../filters/lane-tagging/matcher.config';
import { MatchPlan, MatchSource } from '../../filters/lane-tagging/matcher.policy';

/** A request made of texts; counts what is read from it. */
class Request extends MatchSource {
  names: string[] = [];
  values: string[] = [];
  pathText: string = '/';
  methodText: string = 'GET';
  addressText: string = '';
  identityText: string = '';
  trace: string = '';
  reads: i32 = 0;

  with(name: string, value: string): Request {
    this.names.push(name);
    this.values.push(value);
    return this;
  }

  header(name: Slice): Slice {
    this.reads++;
    for (let i = 0; i < this.names.length; i++) {
      if (this.names[i] === text(name)) return ascii(this.values[i]);
    }
    return NONE;
  }

  path(): Slice {
    this.reads++;
    return ascii(this.pathText);
  }

  method(): Slice {
    this.reads++;
    return ascii(this.methodText);
  }

  address(): Slice {
    this.reads++;
    return this.addressText.length > 0 ? ascii(this.addressText) : NONE;
  }

  identity(): Slice {
    this.reads++;
    return this.identityText.length > 0 ? ascii(this.identityText) : NONE;
  }

  sticky(): u64 {
    return this.trace.length > 0 ? hash64(ascii(this.trace)) : 0;
  }

  cel(token: u32): bool {
    this.reads++;
    return token % 2 === 0;
  }
}

/** Numbers expressions; refuses those that start with "!". */
class Cel extends CelHost {
  created: i32 = 0;
  dropped: i32 = 0;

  create(expression: Slice): i64 {
    return equal(expression, ascii('!')) ? -1 : this.created++;
  }

  drop(token: u32): void {
    this.dropped++;
  }
}

function planOf(matchers: string[]): MatchPlan {
  const compiler = new MatchCompiler(new Cel());
  for (let i = 0; i < matchers.length; i++) {
    const match = parseJson(ascii(matchers[i]));
    if (match === null) throw new Error(`${matchers[i]}: ${parseError()}`);
    compiler.add(match, ascii(`rule-${i}`), `rules[${i}].match`);
  }
  return compiler.build()!;
}

function first(plan: MatchPlan, request: Request): i32 {
  plan.begin();
  return plan.first(request);
}

function matches(matcher: string, request: Request): bool {
  return first(planOf([matcher]), request) === 0;
}

function get(path: string): Request {
  const request = new Request();
  request.pathText = path;
  return request;
}

function from(address: string): Request {
  const request = new Request();
  request.addressText = address;
  return request;
}

function traced(id: string): Request {
  const request = new Request();
  request.trace = id;
  return request;
}

describe('header matcher', () => {
  it('tests the value in each of its ways', () => {
    const request = new Request().with('end-user', 'dev2').with('empty', '');
    expect<bool>(matches('{"header":{"name":"End-User","exact":"dev2"}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"end-user","exact":"dev"}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"end-user","exact":"Dev2"}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"end-user","prefix":"dev"}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"end-user","prefix":"dev22"}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"end-user","suffix":"v2"}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"end-user","suffix":"xdev2"}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"end-user","in":["a","dev2"]}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"end-user","in":["a","b"]}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"end-user","present":true}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"end-user","present":false}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"empty","exact":""}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"empty","present":true}}', request)).toBe(true);
  });

  it('matches an absent header by nothing but its absence', () => {
    const request = new Request();
    expect<bool>(matches('{"header":{"name":"a","present":false}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"a","present":true}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"a","exact":""}}', request)).toBe(false);
    expect<bool>(matches('{"header":{"name":"a","in":[""]}}', request)).toBe(false);
    expect<bool>(matches('{"not":{"header":{"name":"a","exact":"b"}}}', request)).toBe(true);
  });

  it('compares bytes beyond ASCII', () => {
    const request = new Request().with('a', 'zoë');
    expect<bool>(matches('{"header":{"name":"a","exact":"zo\\u00eb"}}', request)).toBe(true);
    expect<bool>(matches('{"header":{"name":"a","exact":"zoe"}}', request)).toBe(false);
  });
});

describe('cookie matcher', () => {
  it('finds the first cookie of the name', () => {
    const request = new Request().with('cookie', 'a=1; lane=dev1;lane=dev2;  b = 2 ; q="quoted v"; e=; flag; x=y=z');
    expect<bool>(matches('{"cookie":{"name":"a","exact":"1"}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"lane","exact":"dev1"}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"lane","exact":"dev2"}}', request)).toBe(false);
    expect<bool>(matches('{"cookie":{"name":"b","exact":"2"}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"q","exact":"quoted v"}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"e","exact":""}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"x","exact":"y=z"}}', request)).toBe(true);
    expect<bool>(matches('{"cookie":{"name":"flag","present":true}}', request)).toBe(false);
    expect<bool>(matches('{"cookie":{"name":"Lane","present":true}}', request)).toBe(false);
    expect<bool>(matches('{"cookie":{"name":"an","present":false}}', request)).toBe(true);
  });

  it('survives what is no cookie header', () => {
    const odd = [';', '=', ';;=;', 'a', '"', '=a', ' ; = ; '];
    for (let i = 0; i < odd.length; i++) {
      expect<bool>(matches('{"cookie":{"name":"a","present":true}}', new Request().with('cookie', odd[i]))).toBe(false);
    }
    expect<bool>(matches('{"cookie":{"name":"a","exact":"\\""}}', new Request().with('cookie', 'a="'))).toBe(true);
  });
});

describe('query and path matchers', () => {
  it('decode names and values', () => {
    const request = get('/p?lane=dev%31&a+b=c%20d&plus=1+1&bad=%4&bad2=%zz&e&e2=&n%61me=v&lane=dev2#lane=dev3');
    expect<bool>(matches('{"query":{"name":"lane","exact":"dev1"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"a b","exact":"c d"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"plus","exact":"1 1"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"bad","exact":"%4"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"bad2","exact":"%zz"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"e","exact":""}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"e2","exact":""}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"name","exact":"v"}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"p","present":false}}', request)).toBe(true);
    expect<bool>(matches('{"query":{"name":"a","present":false}}', get('/p#?a=1'))).toBe(true);
    expect<bool>(matches('{"query":{"name":"a","present":false}}', get('/p?'))).toBe(true);
    expect<bool>(matches('{"query":{"name":"a","exact":"1"}}', get('/p?&&a=1&'))).toBe(true);
  });

  it('takes a value that is too long to decode for no text', () => {
    const long = get(`/p?a=${'%61'.repeat(1025)}`);
    expect<bool>(matches('{"query":{"name":"a","prefix":"a"}}', long)).toBe(false);
    expect<bool>(matches('{"query":{"name":"a","present":true}}', long)).toBe(true);
    expect<bool>(matches('{"query":{"name":"a","prefix":"a"}}', get(`/p?a=${'%61'.repeat(1024)}`))).toBe(true);
    expect<bool>(matches('{"query":{"name":"a","suffix":"a"}}', get(`/p?a=${'a'.repeat(9000)}`))).toBe(true);
  });

  it('keep the path apart from its query', () => {
    expect<bool>(matches('{"path":{"exact":"/productpage"}}', get('/productpage?u=normal'))).toBe(true);
    expect<bool>(matches('{"path":{"exact":"/productpage"}}', get('/productpage#top'))).toBe(true);
    expect<bool>(matches('{"path":{"prefix":"/api/"}}', get('/api/v1'))).toBe(true);
    expect<bool>(matches('{"path":{"suffix":".html"}}', get('/a?b=.html'))).toBe(false);
    expect<bool>(matches('{"path":{"exact":"/a"}}', get('/%61'))).toBe(false);
    expect<bool>(matches('{"path":{"in":["/b","/a"]}}', get('/a'))).toBe(true);
    expect<bool>(matches('{"method":{"exact":"GET"}}', get('/'))).toBe(true);
    expect<bool>(matches('{"method":{"in":["PUT","POST"]}}', get('/'))).toBe(false);
  });
});

describe('caller matcher', () => {
  it('finds addresses in blocks', () => {
    const v4 = '{"caller":{"cidrs":["10.1.0.0/16","192.0.2.7"]}}';
    expect<bool>(matches(v4, from('10.1.200.3:4711'))).toBe(true);
    expect<bool>(matches(v4, from('10.2.0.1:4711'))).toBe(false);
    expect<bool>(matches(v4, from('192.0.2.7:1'))).toBe(true);
    expect<bool>(matches(v4, from('192.0.2.8:1'))).toBe(false);
    expect<bool>(matches(v4, from('[::ffff:10.1.0.9]:80'))).toBe(true);
    const v6 = '{"caller":{"cidrs":["2001:db8::/33"]}}';
    expect<bool>(matches(v6, from('[2001:db8:7fff::1]:80'))).toBe(true);
    expect<bool>(matches(v6, from('[2001:db8:8000::1]:80'))).toBe(false);
    expect<bool>(matches('{"caller":{"cidrs":["::/0"]}}', from('10.0.0.1:1'))).toBe(true);
    expect<bool>(matches('{"caller":{"cidrs":["0.0.0.0/0"]}}', from('[::1]:1'))).toBe(false);
  });

  it('matches nothing without an address', () => {
    const any = '{"caller":{"cidrs":["::/0"]}}';
    expect<bool>(matches(any, from(''))).toBe(false);
    expect<bool>(matches(any, from('/run/envoy.sock'))).toBe(false);
    expect<bool>(matches(any, from('10.0.0.1.:80'))).toBe(false);
    expect<bool>(matches(any, from('[10.0.0'))).toBe(false);
    expect<bool>(matches(any, from('[]:80'))).toBe(false);
  });

  it('tests the identity', () => {
    const request = new Request();
    request.identityText = 'spiffe://mesh/ns/default/sa/gateway';
    expect<bool>(matches('{"caller":{"identity":{"exact":"spiffe://mesh/ns/default/sa/gateway"}}}', request)).toBe(
      true,
    );
    expect<bool>(matches('{"caller":{"identity":{"suffix":"/sa/app"}}}', request)).toBe(false);
    expect<bool>(matches('{"caller":{"identity":{"present":true}}}', new Request())).toBe(false);
  });
});

describe('percentage matcher', () => {
  it('draws about its share, the same traces each time', () => {
    const plan = planOf(['{"percentage":{"percent":10}}']);
    let drawn = 0;
    let changed = 0;
    for (let i = 0; i < 10000; i++) {
      const request = traced(`trace-${i}`);
      const verdict = first(plan, request);
      if (verdict === 0) drawn++;
      if (first(plan, request) !== verdict) changed++;
    }
    expect<i32>(changed).toBe(0);
    // Ten standard deviations of a binomial draw are 300.
    expect<i32>(drawn).toBeGreaterThan(700);
    expect<i32>(drawn).toBeLessThan(1300);
  });

  it('draws independently by rule and alike by salt', () => {
    const ten = '{"percentage":{"percent":50}}';
    const salted = '{"percentage":{"percent":50,"salt":"s"}}';
    const plan = planOf([ten, ten, salted, salted]);
    let differ = 0;
    let unlike = 0;
    for (let i = 0; i < 1000; i++) {
      const request = traced(`trace-${i}`);
      plan.begin();
      if (plan.matches(0, request) !== plan.matches(1, request)) differ++;
      if (plan.matches(2, request) !== plan.matches(3, request)) unlike++;
    }
    expect<i32>(unlike).toBe(0);
    expect<i32>(differ).toBeGreaterThan(300);
  });

  it('knows none and all, and no trace', () => {
    expect<bool>(matches('{"percentage":{"percent":0}}', traced('a'))).toBe(false);
    expect<bool>(matches('{"percentage":{"percent":100}}', traced('a'))).toBe(true);
    expect<bool>(matches('{"percentage":{"percent":100}}', new Request())).toBe(false);
  });
});

const A = '{"header":{"name":"a","present":true}}';
const B = '{"header":{"name":"b","present":true}}';
const C = '{"header":{"name":"c","present":true}}';

/** Truth table over a, b, c as eight bits. */
function truth(matcher: string): string {
  let bits = '';
  for (let i = 0; i < 8; i++) {
    const request = new Request();
    if ((i & 4) !== 0) request.with('a', '1');
    if ((i & 2) !== 0) request.with('b', '1');
    if ((i & 1) !== 0) request.with('c', '1');
    bits += matches(matcher, request) ? '1' : '0';
  }
  return bits;
}

describe('combined matchers', () => {
  it('hold for every combination', () => {
    expect<string>(truth(`{"all":[${A},${B},${C}]}`)).toBe('00000001');
    expect<string>(truth(`{"any":[${A},${B},${C}]}`)).toBe('01111111');
    expect<string>(truth(`{"not":${A}}`)).toBe('11110000');
    expect<string>(truth(`{"not":{"not":${A}}}`)).toBe('00001111');
    expect<string>(truth(`{"all":[${A},{"any":[${B},${C}]}]}`)).toBe('00000111');
    expect<string>(truth(`{"any":[{"all":[${A},${B}]},${C}]}`)).toBe('01010111');
    expect<string>(truth(`{"not":{"any":[{"all":[${A},${B}]},${C}]}}`)).toBe('10101000');
    expect<string>(truth(`{"all":[{"not":{"all":[${A},${B}]}},{"not":{"any":[${B},${C}]}}]}`)).toBe('10001000');
    expect<string>(truth(`{"any":[{"not":${A}},{"all":[${B},{"not":${C}}]}]}`)).toBe('11110010');
    expect<string>(truth(`{"all":[${A}]}`)).toBe('00001111');
  });

  it('give the first rule that matches', () => {
    const plan = planOf([`{"all":[${A},${B}]}`, A, `{"not":${C}}`]);
    expect<i32>(first(plan, new Request().with('a', '1').with('b', '1'))).toBe(0);
    expect<i32>(first(plan, new Request().with('a', '1'))).toBe(1);
    expect<i32>(first(plan, new Request())).toBe(2);
    expect<i32>(first(plan, new Request().with('c', '1'))).toBe(-1);
    expect<i32>(first(planOf([]), new Request())).toBe(-1);
  });

  it('read each input once and only when needed', () => {
    const plan = planOf([`{"all":[${A},${B}]}`, `{"all":[${A},${C}]}`, '{"header":{"name":"A","exact":"1"}}']);
    const request = new Request();
    first(plan, request);
    expect<i32>(request.reads).toBe(1);
    const other = new Request().with('a', '2');
    first(plan, other);
    expect<i32>(other.reads).toBe(3);
  });

  it('ask the host for expressions', () => {
    const plan = planOf(['{"cel":"odd"}', '{"not":{"cel":"even"}}'.replace('even', 'x'), '{"cel":"y"}']);
    expect<i32>(first(plan, new Request())).toBe(0);
    plan.begin();
    expect<bool>(plan.matches(1, new Request())).toBe(true);
    expect<i32>(plan.tokens.length).toBe(3);
    const cel = new Cel();
    const compiler = new MatchCompiler(cel);
    compiler.add(parseJson(ascii('{"cel":"fine"}')), ascii('r'), 'rules[0].match');
    compiler.add(parseJson(ascii('{"any":[{"cel":"fine"},{"cel":"!"}]}')), ascii('r'), 'rules[1].match');
    expect<bool>(compiler.build() === null).toBe(true);
    expect<string>(compiler.refusedPath).toBe('rules[1].match.any[1].cel');
    expect<i32>(cel.dropped).toBe(2);
  });

  it('match everything without a matcher', () => {
    const compiler = new MatchCompiler(new Cel());
    compiler.add(null, ascii('r'), '');
    expect<i32>(first(compiler.build()!, new Request())).toBe(0);
  });
});

/** Rule numbers for user-0 … user-<count - 1> as `exact` tests, between two other rules. */
function many(count: i32): string[] {
  const rules = ['{"header":{"name":"x","exact":"first"}}'];
  for (let i = 0; i < count; i++) rules.push(`{"header":{"name":"user","exact":"user-${i}"}}`);
  rules.push('{"header":{"name":"user","in":["user-3","other","more"]}}');
  rules.push('{"all":[{"header":{"name":"user","exact":"user-3"}},{"header":{"name":"x","present":true}}]}');
  rules.push('{"header":{"name":"user","prefix":"user-"}}');
  return rules;
}

describe('tables', () => {
  it('give the verdict of the rules they stand for', () => {
    const plan = planOf(many(300));
    let wrong = 0;
    for (let i = 0; i < 300; i++) {
      if (first(plan, new Request().with('user', `user-${i}`)) !== i + 1) wrong++;
    }
    expect<i32>(wrong).toBe(0);
    expect<i32>(first(plan, new Request().with('user', 'more'))).toBe(301);
    expect<i32>(first(plan, new Request().with('user', 'user-300'))).toBe(303);
    expect<i32>(first(plan, new Request().with('user', 'nobody'))).toBe(-1);
    expect<i32>(first(plan, new Request().with('user', 'a value longer than any of the texts'))).toBe(-1);
    expect<i32>(first(plan, new Request().with('x', 'first').with('user', 'user-3'))).toBe(0);
    expect<i32>(first(plan, new Request())).toBe(-1);
  });

  it('leave each rule its own verdict', () => {
    const plan = planOf(many(10));
    const request = new Request().with('user', 'user-3');
    plan.begin();
    for (let rule = 0; rule < plan.rules; rule++) {
      expect<bool>(plan.matches(rule, request)).toBe(rule === 4 || rule === 11 || rule === 13);
    }
  });

  it('keep the first of equal rules', () => {
    const same = '{"header":{"name":"user","exact":"a"}}';
    const plan = planOf([same, same, same, same, same]);
    expect<i32>(first(plan, new Request().with('user', 'a'))).toBe(0);
    plan.begin();
    expect<bool>(plan.matches(3, new Request().with('user', 'a'))).toBe(true);
  });
});
