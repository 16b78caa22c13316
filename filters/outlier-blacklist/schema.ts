import Type, { type Static } from 'typebox';
import { Authorities } from '../common.schema.ts';

/** Most hosts of a service that a configuration may name; the filter counts 512 of all services together. */
export const MAX_CONFIGURED_HOSTS = 256;

const Seconds = (fallback: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 3600, default: fallback, description }));

const HostSchema = Type.Object(
  {
    address: Type.String({
      format: 'header-value',
      minLength: 3,
      maxLength: 47,
      description: '`ip:port`, an IPv6 address in brackets, as Envoy writes it.',
    }),
    lane: Type.Optional(Type.String({ format: 'label-value', description: 'Default: the baseline.' })),
  },
  { additionalProperties: false, description: 'An instance.' },
);

const ProbeSchema = Type.Object(
  {
    cluster: Type.String({
      format: 'header-value',
      minLength: 1,
      maxLength: 256,
      description: 'Cluster whose load balancer takes the override header.',
    }),
    path: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 256,
        default: '/health',
        description: 'What is asked for; below 400 is an answer.',
      }),
    ),
  },
  { additionalProperties: false, description: 'How a host is asked before it gets traffic again.' },
);

export const OutlierServiceSchema = Type.Object(
  {
    name: Type.String({ format: 'label-value', description: 'Stands in metrics.' }),
    authorities: Authorities,
    grpc: Type.Optional(
      Type.Boolean({ default: false, description: 'Judge answers by their gRPC status; costs a host call a request.' }),
    ),
    hashHeader: Type.Optional(
      Type.String({
        format: 'header-name',
        description: 'The service is hash-balanced by this header: its keys are spread by rendezvous hashing.',
      }),
    ),
    probe: Type.Optional(ProbeSchema),
    hosts: Type.Optional(
      Type.Array(HostSchema, {
        minItems: 1,
        maxItems: MAX_CONFIGURED_HOSTS,
        description: 'All its instances. Default: those that have answered.',
      }),
    ),
  },
  { additionalProperties: false, description: 'A callee.' },
);

/** Configuration of `outlier-blacklist`. */
export const OutlierBlacklistSchema = Type.Object(
  {
    baseline: Type.Optional(
      Type.String({ format: 'label-value', default: 'base', description: 'Lane of requests without a tag.' }),
    ),
    services: Type.Array(OutlierServiceSchema, {
      minItems: 1,
      maxItems: 200,
      description: 'Callees whose hosts are judged.',
    }),
    errorPercent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 20,
        description: 'Share of errors above which a host may be an outlier; also twice that of the others.',
      }),
    ),
    coolDownSeconds: Seconds(30, 'How long a listed host gets nothing; doubles with each time in a row.'),
    maxCoolDownSeconds: Seconds(300, 'Longest cool-down.'),
    stepSeconds: Seconds(10, 'Length of each step back: 5, 10, 25 and 50 % of its share.'),
    maxOutPercent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 50,
        default: 50,
        description: "Most of a lane's hosts that may be out at once; never the last.",
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Keeps requests away from hosts that fail or are slow, judged by what this proxy sees of them.',
  },
);

export type OutlierBlacklistConfig = Static<typeof OutlierBlacklistSchema>;
