import Type from 'typebox';
import { MAX_INTERFACES } from '../filters/interface/interface.schema.ts';
import { LabelsSchema } from './istio/schema.ts';
import { BreakerSchema } from './schema-degradation.ts';
import { LimitsSchema } from './schema-limits.ts';
import { OverloadSchema } from './schema-overload.ts';
import { Duration, LANE_PATTERN, Name, named, Port } from './schema-parts.ts';
import { CallersSchema, JwtSchema, ServiceTlsSchema } from './schema-tls.ts';

/** One entry of `services` in `causeway.yaml`. */

const HealthCheckSchema = Type.Object(
  {
    path: Type.Optional(Type.String({ pattern: '^/[!-~]{0,255}$', description: 'Default /health.' })),
    interval: Type.Optional(Duration('Default 250ms.')),
    timeout: Type.Optional(Duration('Default 500ms.')),
    unhealthyThreshold: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: 'Default 2.' })),
    healthyThreshold: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: 'Default 1.' })),
  },
  { additionalProperties: false },
);

const LbSchema = Type.Object(
  {
    policy: Type.Enum(['round_robin', 'least_request', 'random', 'ring_hash', 'maglev'], {
      description: 'How instances inside a lane are chosen. Default round_robin.',
    }),
    hashHeader: Type.Optional(
      Type.String({ pattern: '^[a-z0-9-]{1,64}$', description: 'ring_hash and maglev: header to hash.' }),
    ),
  },
  { additionalProperties: false },
);

const InterfaceSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$', description: 'Shown in metrics.' }),
    methods: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Z]{1,16}$' }), {
        minItems: 1,
        maxItems: 9,
        uniqueItems: true,
        description: 'Default: all.',
      }),
    ),
    template: Type.Optional(
      Type.String({
        format: 'path-template',
        description: 'Paths such as /products/{id}/reviews; ** at the end is any rest.',
      }),
    ),
    prefix: Type.Optional(
      Type.String({
        pattern: '^/[^?#{}* ]{0,253}$',
        description: 'Path prefix: short for a template with ** behind it.',
      }),
    ),
  },
  { additionalProperties: false, description: 'A part of the API: methods, and exactly one of template and prefix.' },
);

const BrokerSchema = Type.Object(
  {
    name: Name('Shown in statistics.'),
    port: Type.Integer({
      minimum: 1,
      maximum: 65535,
      description: "Where the application connects, at its instance's address.",
    }),
    at: Type.String({
      pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}):[0-9]{1,5}$',
      description: 'Where the broker is: address or host name, and port.',
    }),
  },
  { additionalProperties: false, description: 'A message broker.' },
);

export const InstancesSchema = Type.Object(
  {
    replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, description: 'Default 1.' })),
    version: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,63}$', description: 'Default v1.' })),
    weight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 1.' })),
    tls: Type.Optional(
      Type.Boolean({ description: 'These instances are ready for TLS. Default true where the mesh has `tls`.' }),
    ),
    labels: Type.Optional(
      LabelsSchema(
        "Istio: labels that this lane's Pods have and the service's others have not. Default: the lane label.",
      ),
    ),
    env: Type.Optional(
      named('^[A-Za-z_][A-Za-z0-9_]{0,63}$', Type.String({ maxLength: 4096 }), {
        description: "Added to the application's environment.",
      }),
    ),
  },
  { additionalProperties: false },
);

export const ServiceSchema = Type.Object(
  {
    port: Type.Optional(Port),
    protocol: Type.Optional(
      Type.Enum(['http1', 'http2', 'grpc'], {
        description: 'What the application speaks. Default http1.',
      }),
    ),
    entrance: Type.Optional(
      Type.Boolean({ description: 'Traffic of a lane may enter here, so a tag may be created here. Default false.' }),
    ),
    idempotent: Type.Optional(
      Type.Boolean({ description: 'A failed POST may be sent again. Default false: only GET, HEAD and OPTIONS.' }),
    ),
    timeout: Type.Optional(
      Duration(
        'A whole request with all its tries, until its answer has ended; 0s: no bound, for answers that stream. Default 15s.',
      ),
    ),
    lb: Type.Optional(LbSchema),
    breaker: Type.Optional(BreakerSchema),
    overload: Type.Optional(OverloadSchema),
    limits: Type.Optional(LimitsSchema),
    healthCheck: Type.Optional(HealthCheckSchema),
    interfaces: Type.Optional(
      Type.Array(InterfaceSchema, {
        maxItems: MAX_INTERFACES,
        description: 'In order: a request belongs to the first that it fits. Limits and steering choose by them.',
      }),
    ),
    calls: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 40 }), {
        maxItems: 200,
        uniqueItems: true,
        description: 'Services that this one calls; its sidecars know no others. Default: all.',
      }),
    ),
    healing: Type.Optional(
      Type.Boolean({ description: 'Callers keep requests away from its instances that fail. Default false.' }),
    ),
    brokers: Type.Optional(
      Type.Array(BrokerSchema, {
        minItems: 1,
        maxItems: 8,
        description:
          'Message brokers that the application reaches through its sidecar, so that isolation can cut it off.',
      }),
    ),
    shards: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 256, description: 'Cut the instances of each lane into this many groups.' }),
    ),
    command: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        maxItems: 32,
        description: 'Starts one instance as a local process. Default: the Bookinfo service of this name.',
      }),
    ),
    image: Type.Optional(
      Type.String({
        pattern: '^[!-~]{1,255}$',
        description: "compose: image. Default: the services' image built there.",
      }),
    ),
    tls: Type.Optional(ServiceTlsSchema),
    callers: Type.Optional(CallersSchema),
    jwt: Type.Optional(JwtSchema),
    instances: named(LANE_PATTERN, InstancesSchema, {
      minProperties: 1,
      description: 'By lane.',
    }),
  },
  { additionalProperties: false },
);
