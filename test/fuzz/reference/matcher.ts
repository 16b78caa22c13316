/** Request matchers, as `matcher.schema.ts` describes them. */
import { BlockList, isIP } from 'node:net';
import type { Match } from '../../../filters/lane-tagging/matcher.schema.ts';
import type { Connection, RequestHeaders } from './request.ts';
import { fraction } from './trace.ts';

/** A query value that decodes to more bytes than this is there, but equals no text and starts and ends with none. */
const LONGEST_DECODED = 1024;

/** The request of a rule. */
export interface MatchInput {
  readonly headers: RequestHeaders;
  readonly connection: Connection;
  /** 0n without a trace id. */
  readonly sticky: bigint;
}

/** The one expression that scenarios use, and what it means of the header `x-cel`. */
export const EXPRESSION = "request.headers['x-cel'].matches('^[a-f]+$')";

/** Undefined where Envoy answers with an error, which is no match: the header is not there. */
export function expressionHolds(header: string | undefined): boolean | undefined {
  return header === undefined ? undefined : /^[a-f]+$/.test(header);
}

interface TextTest {
  readonly present?: boolean;
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly in?: readonly string[];
  readonly template?: string;
}

/** `salt`: what percentages draw by that have none of their own. */
export function matches(match: Match, input: MatchInput, salt: string): boolean {
  const { headers } = input;
  if (match.all !== undefined) return match.all.every((inner) => matches(inner, input, salt));
  if (match.any !== undefined) return match.any.some((inner) => matches(inner, input, salt));
  if (match.not !== undefined) return !matches(match.not, input, salt);
  if (match.header !== undefined) return holds(match.header, headers.first(match.header.name.toLowerCase()));
  if (match.cookie !== undefined) return holds(match.cookie, cookie(headers.first('cookie'), match.cookie.name));
  if (match.query !== undefined) return holds(match.query, query(headers.first(':path'), match.query.name));
  if (match.path !== undefined) return holds(match.path, headers.first(':path')?.replace(/[?#].*$/s, ''));
  if (match.method !== undefined) return holds(match.method, headers.first(':method'));
  if (match.percentage !== undefined) {
    const { percent, salt: own } = match.percentage;
    return input.sticky !== 0n && fraction(input.sticky, own ?? salt) < percent / 100;
  }
  if (match.cel === EXPRESSION) return expressionHolds(headers.joined('x-cel')) ?? false;
  if (match.caller?.identity !== undefined) return holds(match.caller.identity, identity(input.connection));
  if (match.caller?.cidrs !== undefined) return isInBlocks(input.connection.sourceAddress, match.caller.cidrs);
  throw new TypeError(`no model for the matcher ${JSON.stringify(match)}`);
}

function holds(test: TextTest, value: string | undefined | typeof overlong): boolean {
  if (test.present !== undefined) return test.present === (value !== undefined);
  if (value === undefined || value === overlong) return false;
  const text = value as string;
  if (test.exact !== undefined) return text === bytes(test.exact);
  if (test.prefix !== undefined) return text.startsWith(bytes(test.prefix));
  if (test.suffix !== undefined) return text.endsWith(bytes(test.suffix));
  if (test.template !== undefined) return templateRegex(test.template).test(text);
  return test.in?.some((one) => text === bytes(one)) ?? false;
}

/** A route template as an expression: a parameter is one segment that is not empty, `**` any rest. */
function templateRegex(template: string): RegExp {
  const parts = template.split(/(\{[^}]*\}|\*\*$)/).map((part) => {
    if (part.startsWith('{')) return '[^/]+';
    return part === '**' ? '.*' : part.replaceAll(/[.+^$()|[\]\\*?]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`, 's');
}

/** A configured text as the bytes that the filter compares with. */
function bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

export function cookie(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const [, key, value = ''] = /^([^=]*)=(.*)$/s.exec(part) ?? [];
    if (key === undefined || trimmed(key) !== name) continue;
    return trimmed(value).replace(/^"(.*)"$/s, '$1');
  }
  return undefined;
}

export function trimmed(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

export const overlong = Symbol('longer than a decoded value may be');

export function query(path: string | undefined, name: string): string | undefined | typeof overlong {
  const [, parameters] = /^[^?#]*\?([^#]*)/.exec(path ?? '') ?? [];
  for (const part of parameters?.split('&') ?? []) {
    if (part === '') continue;
    const [, key = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(part) ?? [];
    if (formDecoded(key) !== bytes(name)) continue;
    const decoded = formDecoded(value);
    return decoded.length > LONGEST_DECODED && /[%+]/.test(value) ? overlong : decoded;
  }
  return undefined;
}

function formDecoded(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

export function identity({ uriName, subject }: Connection): string | undefined {
  if (uriName !== undefined && uriName !== '') return uriName;
  return subject === '' ? undefined : subject;
}

export function isInBlocks(address: string | undefined, blocks: readonly string[]): boolean {
  const host = address?.replace(/^\[([^\]]*)\].*$/s, '$1').replace(/^([^:]*):[^:]*$/, '$1') ?? '';
  if (isIP(host) === 0) return false;
  const list = new BlockList();
  for (const block of blocks) {
    const [net = '', bits] = block.split('/');
    const family = isIP(net) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(net, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family);
  }
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}
