import Type, { type Static } from 'typebox';
import { MatchSchema } from '../lane-tagging/matcher.schema.ts';

/** Most rules of one configuration. */
export const MAX_RULES = 64;

const IsolationRuleSchema = Type.Object(
  {
    name: Type.String({ format: 'lane', minLength: 1, maxLength: 63, description: 'Salt of its percentages.' }),
    match: MatchSchema,
  },
  { additionalProperties: false, description: 'Requests that are kept out.' },
);

/** Configuration of `isolation`; every default is the one the filter compiles in. */
export const IsolationSchema = Type.Object(
  {
    direction: Type.Enum(['inbound', 'control'], {
      description:
        '`inbound` keeps requests from the application behind it; `control`, on a listener of loopback alone, takes the instance offline and online.',
    }),
    isolated: Type.Optional(
      Type.Boolean({ default: false, description: 'Inbound: every request is kept out, health checks too.' }),
    ),
    centre: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Inbound: orders of the healing centre are obeyed, of which the agent tells.',
      }),
    ),
    rules: Type.Optional(
      Type.Array(IsolationRuleSchema, {
        maxItems: MAX_RULES,
        description: 'Inbound: requests that match one of them are kept out.',
      }),
    ),
    healthPath: Type.Optional(
      Type.String({
        format: 'printable',
        minLength: 1,
        maxLength: 256,
        default: '/health',
        description: 'Inbound: path of health checks, to which rules do not apply.',
      }),
    ),
    drainSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        default: 30,
        description: 'Inbound: how long requests that were let in before may go on; then they are reset.',
      }),
    ),
    delaySeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        default: 0,
        description: 'Inbound: how long after the start of this Envoy the first request is let in.',
      }),
    ),
    identities: Type.Optional(
      Type.Array(Type.String({ format: 'header-value', minLength: 1, maxLength: 256, description: 'An identity.' }), {
        minItems: 1,
        maxItems: 64,
        uniqueItems: true,
        description:
          'Inbound: callers that are let in for diagnosis, by the first URI name in their certificate or by its subject.',
      }),
    ),
    edas: Type.Optional(
      Type.Boolean({ default: false, description: 'Control: `/offline` and `/online` work, too, as EDAS has them.' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Takes all or chosen requests off one instance, which goes on running, and lets them back in.',
  },
);

export type IsolationConfig = Static<typeof IsolationSchema>;
