import Type from 'typebox';
import { Duration } from './schema-parts.ts';

/** `agent` in `causeway.yaml`. */
export const AgentSchema = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({
        description: 'Run the agent in every proxy. Read at start only: a change restarts them. Default true.',
      }),
    ),
    interval: Type.Optional(Duration('Shortest time between two polls of the same thing, 100ms to 1m. Default 1s.')),
    mainThreadPercent: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: 50,
        description: 'Most that polling may take of the main thread, in percent. Default 1.',
      }),
    ),
    cpu: Type.Optional(
      Type.Enum(['host', 'container'], {
        description:
          "Whose CPU counts as pressure: the machine's, or that of the cgroup that Envoy runs in. Default host.",
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'The singleton that tells filters CPU pressure and hosts. Default: none.',
  },
);
