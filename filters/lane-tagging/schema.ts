import Type, { type Static } from 'typebox';
import { TagHeader } from '../common.schema.ts';
import { TraceSourceSchema } from '../trace-propagation/schema.ts';
import { MatchSchema } from './matcher.schema.ts';

/** Most rules of one configuration. */
export const MAX_RULES = 512;

export const TrustSchema = Type.Union(
  [
    Type.Enum(['none', 'all'], { description: '`none` believes nobody, `all` everybody.' }),
    Type.Object(
      {
        cidrs: Type.Optional(
          Type.Array(Type.String({ format: 'cidr', description: 'An address or block.' }), {
            minItems: 1,
            maxItems: 64,
            uniqueItems: true,
            description: "Believed when the connection's source address is in one of these blocks.",
          }),
        ),
        identities: Type.Optional(
          Type.Array(
            Type.String({ format: 'header-value', minLength: 1, maxLength: 256, description: 'An identity.' }),
            {
              minItems: 1,
              maxItems: 64,
              uniqueItems: true,
              description: "Believed when the caller's certificate has one of these as first URI name or as subject.",
            },
          ),
        ),
      },
      { additionalProperties: false, minProperties: 1, description: 'Believes callers that are named here.' },
    ),
  ],
  {
    default: 'none',
    description: 'Whose incoming tag is kept. The tag of anybody else is removed before the rules run.',
  },
);

export const TaggingRuleSchema = Type.Object(
  {
    name: Type.Optional(
      Type.String({
        format: 'label-value',
        description: 'Stands in metrics; salt of its percentages. Default: its number, from 0.',
      }),
    ),
    lane: Type.String({ format: 'label-value', description: 'The tag that matching requests get.' }),
    match: MatchSchema,
  },
  { additionalProperties: false, description: 'One rule.' },
);

/** Configuration of `lane-tagging`. */
export const LaneTaggingSchema = Type.Object(
  {
    tagHeader: TagHeader,
    trust: Type.Optional(TrustSchema),
    sources: Type.Optional(
      Type.Array(TraceSourceSchema, {
        minItems: 1,
        maxItems: 4,
        description:
          'Where the trace id that `percentage` draws by is found; the first one present counts. Default: as in `trace-propagation` beside it, else `x-request-id`.',
      }),
    ),
    rules: Type.Optional(
      Type.Array(TaggingRuleSchema, {
        maxItems: MAX_RULES,
        description: 'Rules in order; the first that matches gives the tag.',
      }),
    ),
    failureMode: Type.Optional(
      Type.Enum(['open', 'closed'], {
        default: 'open',
        description:
          'What happens to a request whose believed tag is no tag: `open` goes on without it, `closed` is answered 400.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Gives requests the tag of the lane that they belong to.' },
);

export type LaneTaggingConfig = Static<typeof LaneTaggingSchema>;
export type TaggingRule = Static<typeof TaggingRuleSchema>;
export type Trust = Static<typeof TrustSchema>;
