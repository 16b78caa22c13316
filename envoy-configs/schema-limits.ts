import Type from 'typebox';
import { AdaptiveRateLimitSchema } from '../filters/adaptive-rate-limit/schema.ts';
import { Duration, Name, named } from './schema-parts.ts';

/** What `causeway.yaml` says about limits, in the words of the filter. */

const { perSecond, hotspots, adaptive, stress, queueTime, queueTimeHeader, orcaMetric, status, retryAfterSeconds } =
  AdaptiveRateLimitSchema.properties;

const ClusterLimitSchema = Type.Object(
  {
    name: Name('Stands in the metrics of the rate-limit service.'),
    interface: Type.Optional(
      Type.String({ minLength: 1, maxLength: 63, description: 'Only this interface. `other` = what fits none.' }),
    ),
    by: Type.Optional(
      Type.Object(
        {
          header: Type.String({ format: 'header-name', description: 'A request header; without it no limit is met.' }),
        },
        { additionalProperties: false, description: 'Each value of it is limited for itself. Default: all together.' },
      ),
    ),
    requests: Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'So many in each unit of the clock.' }),
    unit: Type.Optional(Type.Enum(['second', 'minute', 'hour', 'day'], { description: 'Default second.' })),
  },
  { additionalProperties: false },
);

/** `ratelimit` in `causeway.yaml`. */
export const RateLimitSchema = Type.Object(
  {
    address: Type.String({
      pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$',
      description: 'IPv4 address or name.',
    }),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535, description: 'Of gRPC. Default 8081.' })),
    timeout: Type.Optional(Duration('How long a request waits for the verdict, 1ms to 10s. Default 50ms.')),
    unreachable: Type.Optional(
      Type.Enum(['pass', 'refuse'], { description: 'What becomes of requests without a verdict. Default pass.' }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'The reference rate-limit service, github.com/envoyproxy/ratelimit, which counts `limits.cluster` in Redis.',
  },
);

/** `services.<name>.limits`: present, every instance of the service holds them for itself. */
export const LimitsSchema = Type.Object(
  {
    perSecond,
    interfaces: Type.Optional(
      named('^[a-z0-9][a-z0-9_-]{0,62}$', Type.Number({ minimum: 0.1, maximum: 1_000_000 }), {
        description: 'Most requests per second of an interface at each instance, by its name in `interfaces`.',
      }),
    ),
    hotspots,
    adaptive,
    stress,
    cluster: Type.Optional(
      Type.Array(ClusterLimitSchema, {
        maxItems: 16,
        description: 'Limits that all instances share. They need `ratelimit` of the mesh; all of them hold.',
      }),
    ),
    queueTime,
    queueTimeHeader,
    orcaMetric,
    status,
    retryAfterSeconds,
  },
  {
    additionalProperties: false,
    description:
      'Most requests per second. What says how T2 is reported may stand in `overload` as well. Default: none.',
  },
);
