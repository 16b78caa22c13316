import Type, { type Static } from 'typebox';
import { Authorities } from '../common.schema.ts';
import { MatchSchema } from '../lane-tagging/matcher.schema.ts';
import { TraceSourceSchema } from '../trace-propagation/schema.ts';

/** Priority classes with a meaning of their own; the digits between are free for finer grades. */
export const PRIORITY_CLASSES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;

const HeaderName = (options: object) => Type.String({ format: 'header-name', minLength: 1, maxLength: 64, ...options });

export const ClassRuleSchema = Type.Object(
  {
    class: Type.Integer({
      minimum: 0,
      maximum: 9,
      description: '0 health and control (never refused), 1 core, 5 default, 8 batch, 9 stress test.',
    }),
    match: MatchSchema,
  },
  { additionalProperties: false, description: 'Gives matching requests a class.' },
);

export const CalleeSchema = Type.Object(
  {
    name: Type.String({ format: 'lane', minLength: 1, maxLength: 63, description: 'Stands in metrics.' }),
    authorities: Authorities,
  },
  { additionalProperties: false, description: 'A service that may say what it sheds.' },
);

/** Configuration of `overload-shedding`; every default is the one the filter compiles in. */
export const OverloadSheddingSchema = Type.Object(
  {
    direction: Type.Enum(['inbound', 'outbound'], {
      description:
        '`inbound` protects the application behind it; `outbound`, also at a gateway, gives classes and drops early what callees shed.',
    }),
    app: Type.Optional(
      Type.String({
        format: 'lane',
        minLength: 1,
        maxLength: 63,
        default: 'app',
        description: 'Inbound: whose state it is. Two applications behind one Envoy need two names.',
      }),
    ),
    queueTime: Type.Optional(
      Type.Enum(['header', 'orca', 'none'], {
        default: 'header',
        description:
          'Inbound: where the application reports T2. While it does not, and with `none`, T2 is inferred from T3 and flow.',
      }),
    ),
    queueTimeHeader: Type.Optional(
      HeaderName({ default: 'x-queue-ms', description: 'Response header with T2 in milliseconds.' }),
    ),
    orcaMetric: Type.Optional(
      Type.String({
        format: 'token',
        minLength: 1,
        maxLength: 64,
        default: 'queue_ms',
        description: 'Named metric or utilization of an ORCA report that holds T2 in milliseconds.',
      }),
    ),
    targetMs: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 10000,
        default: 15,
        description: 'T2 that is aimed at under overload, in milliseconds.',
      }),
    ),
    status: Type.Optional(
      Type.Enum([503, 429], {
        default: 503,
        description: 'Status of a refusal; 429 where callers are not of this mesh.',
      }),
    ),
    retryAfterSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3600, default: 1, description: '`retry-after` of a refusal; 0 = none.' }),
    ),
    userHeader: Type.Optional(
      HeaderName({ description: 'Header that names the user: cohorts are then drawn by user instead of by trace.' }),
    ),
    sources: Type.Optional(
      Type.Array(TraceSourceSchema, {
        minItems: 1,
        maxItems: 4,
        description: 'Where the trace id that cohorts are drawn by is found. Default `x-request-id`.',
      }),
    ),
    classes: Type.Optional(
      Type.Array(ClassRuleSchema, {
        maxItems: 64,
        description: 'Outbound: classes of requests, the first match wins; without a match a request is of class 5.',
      }),
    ),
    thresholdIn: Type.Optional(
      Type.Enum(['header', 'metadata'], {
        default: 'header',
        description:
          'Outbound: where a threshold stands when the request ends. `metadata` where a filter takes the header off: `header_to_metadata` copies it to `causeway`, `shed`.',
      }),
    ),
    services: Type.Optional(
      Type.Array(CalleeSchema, {
        maxItems: 200,
        description: 'Outbound: callees whose thresholds are kept; calls to them are dropped early.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Refuses what an overloaded instance cannot serve, least important first.',
  },
);

export type OverloadSheddingConfig = Static<typeof OverloadSheddingSchema>;
