import { Json, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, NONE } from 'proxy-wasm-assemblyscript-sdk/slice';
import { compileInterfaces } from '../../filters/interface/config';
import { InterfaceTable } from '../../filters/interface/policy';

/** The parsed list that a table points into. */
let document: Json | null = null;

function table(list: string): InterfaceTable {
  document = parseJson(ascii(list));
  return compileInterfaces(document!.items);
}

/** Name of the interface that a request belongs to. */
function found(interfaces: InterfaceTable, request: string): string {
  const blank = request.indexOf(' ');
  return interfaces.nameOf(interfaces.find(ascii(request.slice(0, blank)), ascii(request.slice(blank + 1))));
}

/** Whether the one template takes the path. */
function takes(template: string, path: string): bool {
  return found(table(`[{"name":"it","template":"${template}"}]`), `GET ${path}`) === 'it';
}

describe('a route template', () => {
  it('takes literal segments byte for byte', () => {
    expect<bool>(takes('/', '/')).toBe(true);
    expect<bool>(takes('/', '/a')).toBe(false);
    expect<bool>(takes('/a/b', '/a/b')).toBe(true);
    expect<bool>(takes('/a/b', '/a/B')).toBe(false);
    expect<bool>(takes('/a/b', '/a/b/')).toBe(false);
    expect<bool>(takes('/a/b', '/a')).toBe(false);
    expect<bool>(takes('/a/b', '/ab')).toBe(false);
    expect<bool>(takes('/a/', '/a/')).toBe(true);
    expect<bool>(takes('/a//b', '/a//b')).toBe(true);
  });

  it('takes one segment that is not empty for a parameter', () => {
    expect<bool>(takes('/p/{id}/r', '/p/42/r')).toBe(true);
    expect<bool>(takes('/p/{id}/r', '/p/%7bid%7d/r')).toBe(true);
    expect<bool>(takes('/p/{id}/r', '/p//r')).toBe(false);
    expect<bool>(takes('/p/{id}/r', '/p/4/2/r')).toBe(false);
    expect<bool>(takes('/p/{id}', '/p/42')).toBe(true);
    expect<bool>(takes('/p/{id}', '/p/')).toBe(false);
    expect<bool>(takes('/{a}/{b}', '/x/y')).toBe(true);
  });

  it('with ** at its end takes any rest', () => {
    expect<bool>(takes('/**', '/')).toBe(true);
    expect<bool>(takes('/**', '/a/b')).toBe(true);
    expect<bool>(takes('/api/**', '/api/')).toBe(true);
    expect<bool>(takes('/api/**', '/api/a/b/c')).toBe(true);
    expect<bool>(takes('/api/**', '/api')).toBe(false);
    expect<bool>(takes('/api**', '/apix/a')).toBe(true);
    expect<bool>(takes('/api**', '/ap')).toBe(false);
    expect<bool>(takes('/p/{id}/r**', '/p/1/reviews/2')).toBe(true);
    expect<bool>(takes('/p/{id}/r**', '/p/1/x')).toBe(false);
    expect<bool>(takes('/p/{id}/r**', '/p/1')).toBe(false);
  });

  it('does not see query and fragment', () => {
    expect<bool>(takes('/a/b', '/a/b?c=/d')).toBe(true);
    expect<bool>(takes('/a/b', '/a/b#c')).toBe(true);
    expect<bool>(takes('/a**', '/?a')).toBe(false);
    expect<bool>(takes('/a/b**', '/a/?b')).toBe(false);
  });

  it('is held to paths of every length', () => {
    const deepest = '/s'.repeat(32);
    expect<bool>(takes(deepest, deepest)).toBe(true);
    expect<bool>(takes(deepest, '/s'.repeat(33))).toBe(false);
    expect<bool>(takes('/s'.repeat(31) + '/{x}', '/s'.repeat(33))).toBe(false);
    expect<bool>(takes('/s'.repeat(31) + '/**', '/s'.repeat(5000))).toBe(true);
    expect<bool>(takes(deepest + '**', '/s'.repeat(5000))).toBe(true);
    expect<bool>(takes('/a', '/' + 'a'.repeat(60000))).toBe(false);
    expect<bool>(takes('/{x}', '/' + 'a'.repeat(60000))).toBe(true);
  });
});

describe('an interface table', () => {
  const SHOP = `[
    { "name": "list", "methods": ["GET", "HEAD"], "template": "/products" },
    { "name": "one", "methods": ["GET"], "template": "/products/{id}" },
    { "name": "buy", "methods": ["POST"], "template": "/products/{id}" },
    { "name": "rest", "template": "/products/**" }
  ]`;

  it('answers the first interface that fits method and path', () => {
    const shop = table(SHOP);
    expect<string>(found(shop, 'GET /products')).toBe('list');
    expect<string>(found(shop, 'HEAD /products?page=1')).toBe('list');
    expect<string>(found(shop, 'GET /products/7')).toBe('one');
    expect<string>(found(shop, 'POST /products/7')).toBe('buy');
    expect<string>(found(shop, 'PUT /products/7')).toBe('rest');
    expect<string>(found(shop, 'get /products/7')).toBe('rest');
    expect<string>(found(shop, 'POST /products')).toBe('other');
    expect<string>(found(shop, 'GET /')).toBe('other');
  });

  it('counts what fits none as one interface more', () => {
    const shop = table(SHOP);
    expect<i32>(shop.size).toBe(5);
    expect<i32>(shop.find(ascii('GET'), ascii('/nowhere'))).toBe(4);
    expect<i32>(shop.indexOf('buy')).toBe(2);
    expect<i32>(shop.indexOf('other')).toBe(4);
    expect<i32>(shop.indexOf('sell')).toBe(-1);
    expect<i32>(table('[]').find(ascii('GET'), ascii('/'))).toBe(0);
  });

  it('takes no request without a path for one of its own', () => {
    const all = table('[{ "name": "all", "template": "/**" }]');
    expect<string>(found(all, 'OPTIONS *')).toBe('other');
    expect<string>(found(all, 'CONNECT ')).toBe('other');
    expect<string>(all.nameOf(all.find(ascii('CONNECT'), NONE))).toBe('other');
    expect<string>(all.nameOf(all.find(NONE, ascii('/')))).toBe('all');
    expect<string>(found(all, 'GET /\u00e9\u0001')).toBe('all');
  });
});
