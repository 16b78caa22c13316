import Type, { type Static } from 'typebox';
import { TagHeader } from '../common.schema.ts';

/** Map sizes: powers of two, so that a bucket is a mask away; 8 entries make a bucket. */
export const MAP_SIZES = [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576] as const;

/** How the trace id is taken out of a header's value. Without `format` the header's name decides. */
export const TRACE_FORMATS = ['plain', 'traceparent', 'b3', 'b3-traceid', 'sw8', 'uber-trace-id'] as const;

export const TraceSourceSchema = Type.Object(
  {
    header: Type.String({
      format: 'header-name',
      minLength: 1,
      maxLength: 64,
      description: 'Header that holds the trace id.',
    }),
    format: Type.Optional(
      Type.Enum([...TRACE_FORMATS], {
        description:
          'How the id is taken out of the value. Default: by the name for `traceparent`, `b3`, `x-b3-traceid`, `sw8` and `uber-trace-id`, else `plain` (the whole value).',
      }),
    ),
  },
  { additionalProperties: false, description: 'One place a trace id may be found.' },
);

/** Configuration of `trace-propagation`; every default is the one the filter compiles in. */
export const TracePropagationSchema = Type.Object(
  {
    direction: Type.Enum(['inbound', 'outbound'], {
      description: '`inbound` learns trace id → tag, `outbound` adds the tag that the application left out.',
    }),
    tagHeader: TagHeader,
    mode: Type.Optional(
      Type.Enum(['map', 'baggage'], {
        default: 'map',
        description:
          '`map` remembers trace ids in shared data; `baggage` lets the application carry the tag in the W3C `baggage` header and keeps nothing.',
      }),
    ),
    sources: Type.Optional(
      Type.Array(TraceSourceSchema, {
        minItems: 1,
        maxItems: 4,
        default: [{ header: 'x-request-id' }],
        description:
          'Where trace ids are found. Inbound learns under each id present, outbound asks in this order until one is known.',
      }),
    ),
    entries: Type.Optional(
      Type.Enum([...MAP_SIZES], {
        default: 65536,
        description: 'Size of the trace map; must be the same inbound and outbound.',
      }),
    ),
    ttlSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 3600,
        default: 30,
        description: 'How long a trace id is remembered, at least, after its last request has ended or its last use.',
      }),
    ),
    maxPinSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86400,
        default: 600,
        description: 'How long a request in flight keeps its entry at most.',
      }),
    ),
    leakSample: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1024,
        default: 16,
        description: 'One trace id in this many is watched for lost propagation; 1 watches all, 0 none.',
      }),
    ),
    baggageKey: Type.Optional(
      Type.String({
        format: 'header-name',
        minLength: 1,
        maxLength: 64,
        default: 'x-asm-traffic-lane',
        description: 'Key of the `baggage` member that carries the tag in `baggage` mode.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Carries the tag over an application that forwards only trace ids.' },
);

export type TracePropagationConfig = Static<typeof TracePropagationSchema>;
export type TraceSource = Static<typeof TraceSourceSchema>;
