import Type, { type Static } from 'typebox';

/** Configuration of `event-isolation`; every default is the one the filter compiles in. */
export const EventIsolationSchema = Type.Object(
  {
    isolated: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Connections are closed, and new ones refused, until it is false again.',
      }),
    ),
    centre: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'So they are while the healing centre wants the instance isolated.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Cuts an application off from its message broker while the instance is isolated or offline.',
  },
);

export type EventIsolationConfig = Static<typeof EventIsolationSchema>;
