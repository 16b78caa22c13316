import Type from 'typebox';
import { AdaptiveRateLimitSchema } from '../filters/adaptive-rate-limit/schema.ts';
import { named } from './schema-parts.ts';

/** What `causeway.yaml` says about limits, in the words of the filter. */

const { perSecond, hotspots, adaptive, stress, queueTime, queueTimeHeader, orcaMetric, status, retryAfterSeconds } =
  AdaptiveRateLimitSchema.properties;

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
