import Type from 'typebox';
import { TAG } from './headers.ts';

/** Options that several filters have alike. */

export const Authorities = Type.Array(
  Type.String({
    format: 'header-value',
    minLength: 1,
    maxLength: 253,
    description: 'Value of `Host`, compared without letter case.',
  }),
  {
    minItems: 1,
    maxItems: 16,
    uniqueItems: true,
    description: 'How callers name it; with the port where they write one.',
  },
);

export const TagHeader = Type.Optional(
  Type.String({
    format: 'header-name',
    minLength: 1,
    maxLength: 64,
    default: TAG,
    description: 'Header that carries the tag between proxies.',
  }),
);
