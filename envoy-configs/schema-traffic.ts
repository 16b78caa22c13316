import Type from 'typebox';
import { Duration, laneSchema, Match, Name, Percent } from './schema-parts.ts';

/** The parts of `causeway.yaml` that send traffic elsewhere than its tag says: steering, redirects, fault drills. */

const lanes = (description: string) => Type.Optional(Type.Array(laneSchema, { maxItems: 64, description }));
const services = (description: string) =>
  Type.Optional(Type.Array(Name('A service.'), { maxItems: 64, uniqueItems: true, description }));
const interfaceName = Type.Optional(
  Type.String({ minLength: 1, maxLength: 64, description: 'Only this interface of the callee.' }),
);

const TargetSchema = Type.Object(
  {
    lane: Type.Optional(laneSchema),
    lanes: Type.Optional(Type.Array(laneSchema, { minItems: 1, maxItems: 8, uniqueItems: true })),
    instance: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'One instance by its id.' })),
    weight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 1.' })),
  },
  { additionalProperties: false, description: 'Exactly one of lane, lanes, instance.' },
);

export const SteeringSchema = Type.Object(
  {
    name: Name('Shown in metrics; also the salt of its percentage.'),
    services: services('Callees. Default: every service.'),
    callers: services('Callers. Default: everybody.'),
    from: lanes('Only requests that want one of these lanes. Default: any.'),
    interface: interfaceName,
    match: Type.Optional(Match),
    percent: Type.Optional(Percent),
    to: Type.Array(TargetSchema, {
      minItems: 1,
      maxItems: 16,
      description: 'One is chosen by weight, sticky by trace.',
    }),
  },
  { additionalProperties: false },
);

export const RedirectSchema = Type.Object(
  {
    name: Name('Shown in metrics; also the salt of its percentage.'),
    service: Name('Whose sidecars forward.'),
    from: Type.Array(laneSchema, { minItems: 1, maxItems: 64, description: 'Instances of these lanes forward.' }),
    interface: interfaceName,
    match: Type.Optional(Match),
    percent: Type.Optional(Percent),
    to: laneSchema,
  },
  { additionalProperties: false },
);

export const FaultSchema = Type.Object(
  {
    name: Name('Shown in metrics.'),
    lane: laneSchema,
    services: services('Where. Default: every service.'),
    percent: Type.Optional(Percent),
    abort: Type.Optional(Type.Integer({ minimum: 200, maximum: 599, description: 'Answer with this status.' })),
    delay: Type.Optional(Duration('Wait before the application sees the request.')),
  },
  { additionalProperties: false },
);
