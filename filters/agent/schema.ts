import Type, { type Static } from 'typebox';

const CentreSchema = Type.Object(
  {
    cluster: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 255,
        default: 'causeway.centre',
        description: "Cluster of the centre. It adds this proxy's credential; no route may lead to it.",
      }),
    ),
    authority: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 253,
        default: 'causeway-centre',
        description: 'What the centre is called in `Host`.',
      }),
    ),
    instance: Type.Optional(
      Type.String({
        format: 'token',
        minLength: 1,
        maxLength: 128,
        description:
          'Id of the instance behind this proxy, which the centre may isolate. Default: none, it is not asked.',
      }),
    ),
  },
  { additionalProperties: false, description: 'The healing centre. Default: none.' },
);

/** Configuration of `agent`, the singleton. */
export const AgentSchema = Type.Object(
  {
    admin: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 255,
        default: 'causeway.admin',
        description: "Cluster whose one host is this Envoy's own admin interface. No route may lead to it.",
      }),
    ),
    intervalMs: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 60_000,
        default: 1000,
        description: 'Shortest time between two polls of the same thing, in milliseconds.',
      }),
    ),
    mainThreadPercent: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: 50,
        default: 1,
        description:
          'Most that polling may take of the main thread, in percent: what costs more is asked for less often. Half of it is for pressure, half for host lists.',
      }),
    ),
    centre: Type.Optional(CentreSchema),
  },
  {
    additionalProperties: false,
    description: "Asks this Envoy's admin for what filters cannot see, and publishes it to them.",
  },
);

export type AgentConfig = Static<typeof AgentSchema>;
