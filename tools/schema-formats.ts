import { isIPv4, isIPv6 } from 'node:net';

/**
 * The named string formats of configuration schemas, for ajv. `filters/sdk/config/formats.ts` is the same list inside
 * the module; one corpus is put to both, so a format changes in both files or the tests fail.
 */
export interface Format {
  readonly test: (value: string) => boolean;
  /** True where the format itself bounds the length, so that a schema need not. */
  readonly bounded: boolean;
  /** What a value is, for messages of the module and of the tools. */
  readonly meaning: string;
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
function isAddress(value: string): boolean {
  return !value.includes('%') && (isIPv4(value) || isIPv6(value));
}

function isCidr(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/');
  if (rest.length > 0 || !isAddress(address)) return false;
  if (bits === undefined) return true;
  return /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128);
}

function isHeaderValue(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  return !/[\x00-\x08\x0a-\x1f\x7f]/.test(value) && !/^[ \t]|[ \t]$/.test(value);
}

const TEMPLATE = /^(\/(\{\w+\}|[!"$-)+-.0->@-z|~]*))*$/;

function isPathTemplate(value: string): boolean {
  const closed = value.endsWith('**') && !value.endsWith('}**') ? value.slice(0, -2) : value;
  return value.length <= 256 && closed.split('/').length <= 33 && closed !== '' && TEMPLATE.test(closed);
}

export const FORMATS: Readonly<Record<string, Format>> = {
  'label-value': {
    test: (value) => LABEL.test(value),
    bounded: true,
    meaning: 'a Kubernetes label value (1 to 63 letters, digits, ".", "_", "-", first and last a letter or digit)',
  },
  'header-name': {
    test: (value) => TOKEN.test(value) && value.length <= 128,
    bounded: true,
    meaning: "a header name (1 to 128 letters, digits and !#$%&'*+-.^_`|~)",
  },
  token: {
    test: (value) => TOKEN.test(value) && value.length <= 256,
    bounded: true,
    meaning: "a token (1 to 256 letters, digits and !#$%&'*+-.^_`|~)",
  },
  'header-value': {
    test: isHeaderValue,
    bounded: false,
    meaning: 'a header value (no control characters, no blank at either end)',
  },
  printable: {
    test: (value) => /^[\x20-\x7e]*$/.test(value),
    bounded: false,
    meaning: 'printable ASCII characters',
  },
  cidr: {
    test: isCidr,
    bounded: true,
    meaning: 'an IP address or CIDR block (10.0.0.0/8, 2001:db8::/32)',
  },
  'path-template': {
    test: isPathTemplate,
    bounded: true,
    meaning: 'a path template (/a/{id}/b; ** at the end is any rest; at most 32 segments, 256 bytes)',
  },
};
