import Type from 'typebox';
import { ClassRuleSchema, OverloadSheddingSchema } from '../filters/overload-shedding/schema.ts';

/** What `causeway.yaml` says about overload, in the words of the filter. */

const { queueTime, queueTimeHeader, orcaMetric, targetMs, status, retryAfterSeconds, userHeader } =
  OverloadSheddingSchema.properties;

/** `services.<name>.overload`: present, even empty, it protects every instance of the service. */
export const OverloadSchema = Type.Object(
  { queueTime, queueTimeHeader, orcaMetric, targetMs, status, retryAfterSeconds, userHeader },
  { additionalProperties: false, description: 'Shed load that the instances cannot serve. Default: no protection.' },
);

/** `priorities`: which requests matter more, wherever the mesh is entered or an application calls. */
export const PrioritiesSchema = Type.Array(ClassRuleSchema, {
  maxItems: 64,
  description: 'Classes of requests by matcher, the first match wins; without a match a request is of class 5.',
});
