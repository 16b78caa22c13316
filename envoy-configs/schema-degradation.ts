import Type from 'typebox';
import { AnswerSchema, CutTriggerSchema, BreakerSchema as FilterBreakerSchema } from '../filters/degradation/schema.ts';
import { Name, Percent } from './schema-parts.ts';

/** What `causeway.yaml` says about degradation, in the words of the filter. */

/** `services.<name>.breaker`: present, even empty, every caller of the service has breakers for it. */
export const BreakerSchema = Type.Object(FilterBreakerSchema.properties, {
  additionalProperties: false,
  description: 'Callers stop calling what does not answer well. Default: no breaker.',
});

const interfaceName = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 63,
    description: 'Only this interface of the callee. `other` = what fits none.',
  }),
);
const services = (description: string) =>
  Type.Optional(Type.Array(Name('A service.'), { minItems: 1, maxItems: 64, uniqueItems: true, description }));

const DropSchema = Type.Object(
  {
    name: Name('Shown in metrics; rules of one name draw the same traces.'),
    from: services('Callers; a gateway goes by its name. Default: everybody.'),
    to: services('Callees. Default: every service.'),
    interface: interfaceName,
    percent: Percent,
    class: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 9,
        description: 'Requests of this class and less important ones. Default 1.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Refuses a share of the calls, sticky by trace.' },
);

const CutSchema = Type.Object(
  {
    name: Name('Shown in metrics.'),
    from: services('Callers; a gateway goes by its name. Default: everybody.'),
    service: Name('The dependency that can be done without.'),
    interface: interfaceName,
    on: Type.Optional(Type.Boolean({ description: 'Cut now, by hand. Default false.' })),
    when: Type.Optional(CutTriggerSchema),
    answer: Type.Optional(AnswerSchema),
  },
  { additionalProperties: false, description: 'Answers in place of a side dependency.' },
);

export const DegradationSchema = Type.Object(
  {
    drops: Type.Optional(Type.Array(DropSchema, { maxItems: 64 })),
    cuts: Type.Optional(
      Type.Array(CutSchema, { maxItems: 64, description: 'In order; the first that holds answers.' }),
    ),
  },
  { additionalProperties: false, description: 'What callers do without for now; `causeway apply` switches it.' },
);
