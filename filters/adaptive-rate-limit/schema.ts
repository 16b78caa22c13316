import Type, { type Static } from 'typebox';
import { InterfaceSchema, MAX_INTERFACES } from '../interface/interface.schema.ts';
import { MatchSchema } from '../lane-tagging/matcher.schema.ts';
import { OverloadSheddingSchema } from '../overload-shedding/schema.ts';

/** Most rules for hot values. */
const MAX_HOTSPOTS = 8;

const { queueTime, queueTimeHeader, orcaMetric } = OverloadSheddingSchema.properties;

const perSecond = (description: string) => Type.Number({ minimum: 0.1, maximum: 1_000_000, description });

export const LimitedInterfaceSchema = Type.Object(
  {
    ...InterfaceSchema.properties,
    perSecond: Type.Optional(perSecond('Most requests per second of this interface. Default: no limit.')),
  },
  { additionalProperties: false, description: 'One interface, see filters/interface.' },
);

export const HotspotSchema = Type.Object(
  {
    name: Type.String({ format: 'label-value', description: 'Stands in metrics.' }),
    by: Type.Object(
      {
        header: Type.Optional(Type.String({ format: 'header-name', description: 'A request header.' })),
        cookie: Type.Optional(Type.String({ format: 'token', description: 'A cookie.' })),
        query: Type.Optional(
          Type.String({
            format: 'printable',
            minLength: 1,
            maxLength: 128,
            description: 'A query parameter, decoded.',
          }),
        ),
      },
      {
        additionalProperties: false,
        minProperties: 1,
        maxProperties: 1,
        description: 'What each value of is limited.',
      },
    ),
    perSecond: perSecond('Most requests per second with the same value.'),
    match: Type.Optional(MatchSchema),
  },
  { additionalProperties: false, description: 'Limits each value of a header, cookie or query parameter.' },
);

export const AdaptiveSchema = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 60,
        default: 3,
        description: 'Seconds that a signal is above its threshold before limits are made.',
      }),
    ),
    queueMs: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 10_000,
        default: 10,
        description: 'Threshold of T2, in milliseconds: told by the application, or inferred from T3 and flow.',
      }),
    ),
    cpu: Type.Optional(
      Type.Number({
        minimum: 0.05,
        maximum: 1,
        default: 0.85,
        description: 'Threshold of CPU use, 1 = all of it: from the agent, or from an ORCA report.',
      }),
    ),
    signal: Type.Optional(
      Type.Object(
        {
          header: Type.String({ format: 'header-name', description: 'Response header that holds a number.' }),
          threshold: Type.Number({ minimum: 0.001, maximum: 1_000_000_000, description: 'Above it is too much.' }),
        },
        {
          additionalProperties: false,
          description: "A signal of the application's own: the mean over a second counts.",
        },
      ),
    ),
  },
  {
    additionalProperties: false,
    description: 'Finds the interface that has risen when the instance runs short, and limits it.',
  },
);

export const StressSchema = Type.Object(
  {
    class: Type.Optional(
      Type.Boolean({ default: true, description: 'Requests of priority class 9 are stress-test traffic.' }),
    ),
    match: Type.Optional(MatchSchema),
  },
  { additionalProperties: false, description: 'What is refused first while the instance is short.' },
);

/** Configuration of `adaptive-rate-limit`, which runs inbound. */
export const AdaptiveRateLimitSchema = Type.Object(
  {
    app: Type.Optional(
      Type.String({
        format: 'label-value',
        default: 'app',
        description: 'Whose state it is. Two applications behind one Envoy need two names.',
      }),
    ),
    interfaces: Type.Optional(
      Type.Array(LimitedInterfaceSchema, {
        maxItems: MAX_INTERFACES,
        description: 'Interfaces in order; the first that fits counts. What fits none is the interface `other`.',
      }),
    ),
    perSecond: Type.Optional(perSecond('Most requests per second of the whole instance. Default: no limit.')),
    hotspots: Type.Optional(
      Type.Array(HotspotSchema, { maxItems: MAX_HOTSPOTS, description: 'Limits per value. All of them hold.' }),
    ),
    adaptive: Type.Optional(AdaptiveSchema),
    stress: Type.Optional(StressSchema),
    queueTime,
    queueTimeHeader,
    orcaMetric,
    status: Type.Optional(Type.Enum([429, 503], { default: 429, description: 'Status of a refusal.' })),
    retryAfterSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3600, default: 1, description: '`retry-after` of a refusal; 0 = none.' }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Limits requests per second: by interface, by instance, by value, and by itself when the instance runs short.',
  },
);

export type AdaptiveRateLimitConfig = Static<typeof AdaptiveRateLimitSchema>;
