import Type, { type Static } from 'typebox';
import { Authorities, TagHeader } from '../common.schema.ts';
import { MatchSchema } from '../lane-tagging/matcher.schema.ts';

/** Most lanes after a lane itself: each one more is a cluster, and a try, for every service. */
export const MAX_CHAIN = 7;

const LaneName = (description: string) => Type.String({ format: 'lane', minLength: 1, maxLength: 63, description });
const Name = (description: string) => Type.String({ format: 'lane', minLength: 1, maxLength: 63, description });

const Mode = Type.Enum(['permissive', 'strict'], {
  default: 'permissive',
  description:
    '`permissive`: without a usable instance the chain is walked; `strict`: the answer is 503, nothing outside the chain is tried.',
});

const Chain = (description: string) => Type.Array(LaneName('A lane.'), { maxItems: MAX_CHAIN, description });

export const LaneSchema = Type.Object(
  {
    name: LaneName('The tag that asks for it.'),
    mode: Type.Optional(Mode),
    chain: Type.Optional(
      Chain(
        'Lanes to try after this one, in order. Default: the baseline for a permissive lane, nothing for a strict one.',
      ),
    ),
  },
  { additionalProperties: false, description: 'What a tag asks for and who may stand in.' },
);

export const ServiceSchema = Type.Object(
  {
    name: Name('Stands in metrics; rules refer to it.'),
    authorities: Authorities,
    shards: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1024,
        default: 0,
        description: 'Number of shards of its instances; 0 = not sharded.',
      }),
    ),
    lanes: Type.Optional(
      Type.Array(LaneSchema, { maxItems: 256, description: 'Lanes that behave differently for this service.' }),
    ),
  },
  { additionalProperties: false, description: 'A callee.' },
);

const Weight = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 1000, default: 1, description: 'Share among the targets of the rule.' }),
);

export const LanesTargetSchema = Type.Object(
  {
    lanes: Type.Array(LaneName('A lane.'), {
      minItems: 1,
      maxItems: MAX_CHAIN + 1,
      description: 'Ordered chain. Only these lanes are tried; name the baseline last where it may stand in.',
    }),
    weight: Weight,
  },
  { additionalProperties: false, description: 'A chain of lanes.' },
);

export const InstanceTargetSchema = Type.Object(
  {
    instance: Type.String({
      format: 'header-value',
      minLength: 1,
      maxLength: 128,
      description: 'Value of the endpoint label `instance`: this machine, and the baseline when it is not usable.',
    }),
    weight: Weight,
  },
  { additionalProperties: false, description: 'One machine.' },
);

export const TargetSchema = Type.Union([LanesTargetSchema, InstanceTargetSchema], {
  description: 'Where steered traffic goes.',
});

export const SteeringSchema = Type.Object(
  {
    name: Name('Stands in metrics; salt of the percentage and of the choice among targets.'),
    services: Type.Optional(
      Type.Array(Name('Name of a service.'), {
        maxItems: 256,
        description: 'Callees it applies to. Default: every one.',
      }),
    ),
    lanes: Type.Optional(
      Type.Array(LaneName('A lane.'), {
        maxItems: 64,
        description: "Only requests that ask for one of these; the baseline's name stands for untagged. Default: all.",
      }),
    ),
    match: Type.Optional(MatchSchema),
    percent: Type.Optional(
      Type.Number({ minimum: 0, maximum: 100, default: 100, description: 'Share of what matches, sticky by trace.' }),
    ),
    to: Type.Array(TargetSchema, {
      minItems: 1,
      maxItems: 16,
      description: 'Where to; with several, one is chosen by weight, sticky by trace.',
    }),
  },
  { additionalProperties: false, description: 'Caller-side steering. The first rule that applies wins.' },
);

export const RedirectSchema = Type.Object(
  {
    name: Name('Stands in metrics; salt of the percentage.'),
    match: Type.Optional(MatchSchema),
    percent: Type.Optional(
      Type.Number({ minimum: 0, maximum: 100, default: 100, description: 'Share of what matches, sticky by trace.' }),
    ),
    to: Name('The other unit: token of its route.'),
  },
  { additionalProperties: false, description: 'Provider-side redirect. The first rule that applies wins.' },
);

/** Configuration of `lane-fallback`; every default is the one the filter compiles in. */
export const LaneFallbackSchema = Type.Object(
  {
    direction: Type.Enum(['outbound', 'gateway', 'inbound'], {
      description: '`outbound` and `gateway` choose the chain of each call; `inbound` redirects what arrives.',
    }),
    tagHeader: TagHeader,
    baseline: Type.Optional(
      Type.String({
        format: 'lane',
        minLength: 1,
        maxLength: 63,
        default: 'base',
        description: 'Name of the complete lane.',
      }),
    ),
    lanes: Type.Optional(
      Type.Array(LaneSchema, {
        maxItems: 2048,
        description: 'Lanes that need more than [tag, baseline], and lanes that metrics are to name.',
      }),
    ),
    services: Type.Optional(Type.Array(ServiceSchema, { maxItems: 256, description: 'Callees.' })),
    handOver: Type.Optional(
      Type.Enum(['metadata', 'route'], {
        default: 'metadata',
        description:
          'How the chain reaches the router. `metadata`: lanes are subsets of a cluster, a stock filter hands the list on. `route`: the header names the chain, as in `dev1>base`, and routes match it exactly; for Istio, where each lane is a cluster of its own. No shards then.',
      }),
    ),
    servedProperty: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 256,
        description:
          'Property that names the lane of the host that answered, where its endpoint has no label, such as `metadata.filter_metadata.causeway.lane`.',
      }),
    ),
    stages: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_CHAIN + 1,
        default: 1,
        description:
          'Lane clusters of each service that a request may try one after the other; the builders say how many.',
      }),
    ),
    shard: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1048576,
        description: "The caller's number; modulo a service's shards it is its shard.",
      }),
    ),
    shardProperty: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 128,
        description: 'Property to read that number from when `shard` is absent, such as `xds.node.metadata.shard`.',
      }),
    ),
    steering: Type.Optional(Type.Array(SteeringSchema, { maxItems: 256, description: 'Steering rules, in order.' })),
    redirects: Type.Optional(Type.Array(RedirectSchema, { maxItems: 64, description: 'Redirect rules, in order.' })),
    edges: Type.Optional(
      Type.Enum(['none', 'tagged', 'all'], {
        default: 'tagged',
        description: 'Of which requests wanted and served lane are counted.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Hands each request an ordered chain of lanes; redirects between units.',
  },
);

export type LaneFallbackConfig = Static<typeof LaneFallbackSchema>;
export type LaneConfig = Static<typeof LaneSchema>;
export type ServiceConfig = Static<typeof ServiceSchema>;
export type SteeringConfig = Static<typeof SteeringSchema>;
export type TargetConfig = Static<typeof TargetSchema>;
export type RedirectConfig = Static<typeof RedirectSchema>;
