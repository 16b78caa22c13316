import { isIPv4, isIPv6 } from 'node:net';

/**
 * The named string formats of configuration schemas, for ajv. `filters/sdk/config/formats.ts` is the same list inside
 * the module; one corpus is put to both, so a format changes in both files or the tests fail.
 */
export interface Format {
  readonly test: (value: string) => boolean;
  /** True where the format itself bounds the length, so that a schema need not. */
  readonly bounded: boolean;
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const PORT = /^[1-9][0-9]{0,4}$/;

function isAddress(value: string): boolean {
  return !value.includes('%') && (isIPv4(value) || isIPv6(value));
}

function isCidr(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/');
  if (rest.length > 0 || !isAddress(address)) return false;
  if (bits === undefined) return true;
  return /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128);
}

/** Splits off `:port`; port undefined without one, null where it is no port. */
function splitPort(value: string): { host: string; port: string | null | undefined } {
  const match = /^([\s\S]*):([^\]]*)$/.exec(value);
  if (match === null) return { host: value, port: undefined };
  const [, host = '', port = ''] = match;
  return { host, port: PORT.test(port) && Number(port) <= 65535 ? port : null };
}

function isHostPort(value: string): boolean {
  const { host, port } = splitPort(value);
  if (typeof port !== 'string') return false;
  const inner = /^\[([^\]]*)\]$/.exec(host)?.[1];
  return inner === undefined ? isIPv4(host) : isAddress(inner) && isIPv6(inner);
}

function isAuthority(value: string): boolean {
  const { host, port } = splitPort(value);
  if (port === null || value.length > 255) return false;
  const inner = /^\[([^\]]*)\]$/.exec(host)?.[1];
  return inner === undefined ? /^[A-Za-z0-9._-]+$/.test(host) : isAddress(inner) && isIPv6(inner);
}

function isHeaderValue(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  return !/[\x00-\x08\x0a-\x1f\x7f]/.test(value) && !/^[ \t]|[ \t]$/.test(value);
}

export const FORMATS: Readonly<Record<string, Format>> = {
  'label-value': { test: (value) => LABEL.test(value), bounded: true },
  'dns-label': { test: (value) => DNS_LABEL.test(value), bounded: true },
  'header-name': { test: (value) => TOKEN.test(value) && value.length <= 128, bounded: true },
  token: { test: (value) => TOKEN.test(value) && value.length <= 256, bounded: true },
  'header-value': { test: isHeaderValue, bounded: false },
  printable: { test: (value) => /^[\x20-\x7e]*$/.test(value), bounded: false },
  path: { test: (value) => /^\/[\x21-\x22\x24-\x3e\x40-\x7e]*$/.test(value), bounded: false },
  cidr: { test: isCidr, bounded: true },
  address: { test: isHostPort, bounded: true },
  authority: { test: isAuthority, bounded: true },
};
