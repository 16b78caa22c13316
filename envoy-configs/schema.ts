import Type, { type Static } from 'typebox';
import { definitions } from '../filters/lane-tagging/matcher.schema.ts';
import { IstioSchema } from './istio/schema.ts';
import { AgentSchema } from './schema-agent.ts';
import { CentreSchema } from './schema-centre.ts';
import { DegradationSchema } from './schema-degradation.ts';
import { LosslessSchema, MeshIsolationSchema } from './schema-isolation.ts';
import { RateLimitSchema } from './schema-limits.ts';
import { PrioritiesSchema } from './schema-overload.ts';
import {
  Duration,
  LANE_PATTERN,
  laneSchema,
  Match,
  NAME_PATTERN,
  Name,
  named,
  Percent,
  Port,
  TraceSection,
} from './schema-parts.ts';
import { ServiceSchema } from './schema-service.ts';
import { MeshTlsSchema } from './schema-tls.ts';
import { FaultSchema, RedirectSchema, SteeringSchema } from './schema-traffic.ts';

/**
 * The schema of `causeway.yaml`: the one source of the published JSON Schema, of the type below and of the errors that
 * users see. Defaults are stated in the descriptions and applied in resolve.ts; what a schema cannot say (names that must
 * exist, cycles, clashes) is in checks.ts.
 */

const TrustSchema = Type.Object(
  {
    cidrs: Type.Optional(
      Type.Array(Type.String({ minLength: 3, maxLength: 43 }), {
        maxItems: 64,
        description: 'Peers by address of the connection (never by X-Forwarded-For).',
      }),
    ),
    identities: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        maxItems: 64,
        description: 'Peers by mTLS identity (URI SAN).',
      }),
    ),
    all: Type.Optional(Type.Boolean({ description: 'Believe everybody. Only where another gateway stands in front.' })),
  },
  {
    additionalProperties: false,
    description: 'Whose incoming tag is believed. Default: nobody; an incoming tag is removed.',
  },
);

const GatewaySchema = Type.Object(
  {
    name: Name('Also its node id.'),
    address: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,3}(\\.[0-9]{1,3}){3}$',
        description: 'Where clients connect. Default <network prefix>.0.1, i.e. 127.0.0.1.',
      }),
    ),
    port: Type.Optional(Port),
    trust: Type.Optional(TrustSchema),
    exposeLane: Type.Optional(
      Type.Boolean({ description: 'Name the wanted and served lane to clients in response headers. Default false.' }),
    ),
    routes: Type.Array(
      Type.Object(
        { prefix: Type.String({ pattern: '^/[!-~]{0,255}$' }), service: Name('Where these paths go.') },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 64, description: 'Longest prefix wins.' },
    ),
  },
  { additionalProperties: false },
);

const LaneSchema = Type.Object(
  {
    mode: Type.Optional(
      Type.Enum(['permissive', 'strict'], {
        description: 'strict: 503 without a usable instance. permissive: walk the chain. Default permissive.',
      }),
    ),
    chain: Type.Optional(
      Type.Array(laneSchema, {
        maxItems: 8,
        uniqueItems: true,
        description: 'Lanes to fall back to, in order. Default: the baseline.',
      }),
    ),
  },
  { additionalProperties: false },
);

const RuleSchema = Type.Object(
  {
    name: Name('Shown in metrics and in errors.'),
    at: Type.Optional(
      Type.Enum(['gateway', 'sidecar'], {
        description: 'gateway: tagged at the gateways. sidecar: tagged by whoever calls the entrance. Default gateway.',
      }),
    ),
    entrance: Type.Optional(
      Name('Service at which the lane is entered; it must say `entrance: true`. Default: the only such service.'),
    ),
    match: Match,
    lane: laneSchema,
  },
  { additionalProperties: false },
);

const switchOf = (what: string) =>
  Type.Optional(
    Type.Object(
      {
        enabled: Type.Optional(Type.Boolean({ description: 'Default true.' })),
        settings: Type.Optional(
          Type.Record(Type.String(), Type.Unknown(), {
            description: 'Merged over the section rendered for this filter; words as in the README of the filter.',
          }),
        ),
      },
      { additionalProperties: false, description: what },
    ),
  );

export const CausewaySchema = Type.Object(
  {
    mesh: Name('Name of the mesh; its run state is kept under it.'),
    baseline: Type.Optional(laneSchema),
    tag: Type.Optional(
      Type.Object(
        {
          header: Type.Optional(
            Type.String({
              pattern: "^[a-z0-9!#$%&'*+.^`|~-]{1,64}$",
              description: 'Request header that carries the lane. Default x-asm-traffic-lane.',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    trace: Type.Optional(TraceSection),
    tracing: Type.Optional(
      Type.Object(
        { inbound: Type.Optional(Percent), outbound: Type.Optional(Percent) },
        { additionalProperties: false, description: "Envoy's own request tracing per direction. Default: none." },
      ),
    ),
    report: Type.Optional(
      Type.Boolean({ description: 'Put wanted and served lane on responses inside the mesh. Default true.' }),
    ),
    ports: Type.Optional(
      Type.Object(
        { app: Type.Optional(Port), outbound: Type.Optional(Port), control: Type.Optional(Port) },
        {
          additionalProperties: false,
          description: 'On every instance address, `control` on loopback alone. Defaults 9081, 15001 and 15015.',
        },
      ),
    ),
    network: Type.Optional(
      Type.Object(
        {
          prefix: Type.Optional(
            Type.String({
              pattern: '^[0-9]{1,3}\\.[0-9]{1,3}$',
              description: 'First two octets of all instance addresses. Default 127.0 (loopback).',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    concurrency: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Worker threads per Envoy. Default 1.' }),
    ),
    envoy: Type.Optional(
      Type.String({
        pattern: '^1\\.(3[6-9]|[4-9][0-9])$',
        description:
          'Oldest Envoy of the mesh, such as `1.36`. Before 1.37 failed tries stay in their lane; absent and unhealthy lanes fall back everywhere. Default 1.40.',
      }),
    ),
    agent: Type.Optional(AgentSchema),
    centre: Type.Optional(CentreSchema),
    degradation: Type.Optional(DegradationSchema),
    isolation: Type.Optional(MeshIsolationSchema),
    lossless: Type.Optional(LosslessSchema),
    drain: Type.Optional(
      Duration(
        'How long a removed instance, and connections of a replaced listener (in whole seconds), may finish what they have; longer requests are cut. Default 500ms and 3s. A change restarts the proxies.',
      ),
    ),
    tls: Type.Optional(MeshTlsSchema),
    istio: Type.Optional(IstioSchema),
    gateways: Type.Array(GatewaySchema, { minItems: 1, maxItems: 16 }),
    services: named(NAME_PATTERN, ServiceSchema, {
      minProperties: 1,
      maxProperties: 200,
    }),
    lanes: Type.Optional(
      named(LANE_PATTERN, LaneSchema, {
        maxProperties: 1000,
      }),
    ),
    rules: Type.Optional(Type.Array(RuleSchema, { maxItems: 300 })),
    steering: Type.Optional(Type.Array(SteeringSchema, { maxItems: 64 })),
    redirects: Type.Optional(Type.Array(RedirectSchema, { maxItems: 64 })),
    faults: Type.Optional(Type.Array(FaultSchema, { maxItems: 64 })),
    priorities: Type.Optional(PrioritiesSchema),
    ratelimit: Type.Optional(RateLimitSchema),
    filters: Type.Optional(
      Type.Object(
        {
          'lane-tagging': switchOf('Creates tags from rules; removes those of strangers.'),
          'trace-propagation': switchOf('Carries the tag through the applications.'),
          'lane-fallback': switchOf('Chooses the lane of each hop.'),
          degradation: switchOf('Breakers, drops and cuts at the caller.'),
          'adaptive-rate-limit': switchOf('Limits requests per second at each instance.'),
          'overload-shedding': switchOf('Refuses what an overloaded instance cannot serve.'),
          'connection-elimination': switchOf('Chooses plaintext or TLS for each call.'),
          'outlier-blacklist': switchOf('Keeps requests away from instances that fail.'),
          isolation: switchOf('Keeps requests out of instances that are isolated.'),
        },
        { additionalProperties: false },
      ),
    ),
  },
  {
    $id: 'causeway.schema.json',
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'causeway.yaml',
    description: 'Services, instances, lanes and rules of one mesh.',
    additionalProperties: false,
    $defs: definitions,
  },
);

export type CausewayConfig = Static<typeof CausewaySchema>;
