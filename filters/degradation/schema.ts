import Type, { type Static } from 'typebox';
import { Authorities } from '../common.schema.ts';
import { InterfacesSchema } from '../interface/interface.schema.ts';
import { TraceSourceSchema } from '../trace-propagation/schema.ts';

/** Interfaces with a breaker of one configuration: each takes 2 KiB in every worker. */
export const MAX_BREAKERS = 512;
/** Bytes of a stand-in answer. */
export const MAX_ANSWER = 65_536;

const Name = (description: string) => Type.String({ format: 'label-value', minLength: 1, maxLength: 63, description });

const InterfaceName = Type.Optional(
  Name('Only this interface of these services. Default: all. `other` = what fits none.'),
);

export const BreakerSchema = Type.Object(
  {
    coolDownMs: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 300_000, default: 5_000, description: 'First cool-down, ms.' }),
    ),
    maxCoolDownMs: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 300_000, default: 300_000, description: 'Longest cool-down, ms.' }),
    ),
    stepMs: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 60_000, default: 5_000, description: 'Each step of the return, ms.' }),
    ),
    cancelMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 600_000,
        default: 1_000,
        description:
          'A request that its caller gave up after so long counts as a timeout; one given up earlier does not count, ms.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Breakers for each interface and host of the service.' },
);

export const DegradedServiceSchema = Type.Object(
  {
    name: Name('Stands in metrics; rules refer to it.'),
    authorities: Authorities,
    interfaces: Type.Optional(InterfacesSchema),
    breaker: Type.Optional(BreakerSchema),
    grpc: Type.Optional(
      Type.Boolean({ default: false, description: 'The gRPC status tells whether a request went well.' }),
    ),
    clusters: Type.Optional(
      Type.Array(
        Type.String({ format: 'header-value', minLength: 1, maxLength: 255, description: 'Name of a cluster.' }),
        {
          maxItems: 16,
          description: 'Its clusters, for the agent: hosts that Envoy sends nothing do not count.',
        },
      ),
    ),
  },
  { additionalProperties: false, description: 'A callee.' },
);

export const DropSchema = Type.Object(
  {
    name: Name('Stands in metrics; rules of one name draw the same traces on every hop.'),
    services: Type.Optional(
      Type.Array(Name('Name of a service.'), { maxItems: 256, description: 'Callees. Default: all.' }),
    ),
    interface: InterfaceName,
    percent: Type.Number({ minimum: 0, maximum: 100, description: 'Share that is refused, sticky by trace.' }),
    class: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 9,
        default: 1,
        description: 'Requests of this priority class and less important ones. Class 0 is never dropped.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Refuses a share of the calls.' },
);

export const AnswerSchema = Type.Object(
  {
    status: Type.Optional(Type.Integer({ minimum: 200, maximum: 599, default: 200, description: 'HTTP status.' })),
    contentType: Type.Optional(
      Type.String({
        format: 'header-value',
        minLength: 1,
        maxLength: 128,
        default: 'application/json',
        description: 'Of the body.',
      }),
    ),
    body: Type.Optional(Type.String({ maxLength: MAX_ANSWER, default: '', description: 'The body as it is sent.' })),
    grpcStatus: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 16,
        default: 14,
        description: 'What a gRPC request is answered; it gets no message.',
      }),
    ),
  },
  { additionalProperties: false, description: 'What stands in for the answer.' },
);

export const CutTriggerSchema = Type.Object(
  {
    cpuPercent: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, description: 'CPU pressure of this machine, from the agent.' }),
    ),
    shedClass: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 9, description: 'The callee sheds this class or a more important one.' }),
    ),
  },
  { additionalProperties: false, minProperties: 1, description: 'Cut while one of these holds, and 5 s longer.' },
);

export const CutSchema = Type.Object(
  {
    name: Name('Stands in metrics.'),
    service: Name('The side dependency.'),
    interface: InterfaceName,
    on: Type.Optional(Type.Boolean({ default: false, description: 'Cut now, by hand.' })),
    when: Type.Optional(CutTriggerSchema),
    answer: Type.Optional(AnswerSchema),
  },
  { additionalProperties: false, description: 'Answers in place of a dependency that can be done without.' },
);

/** Configuration of `degradation`. */
export const DegradationSchema = Type.Object(
  {
    sources: Type.Optional(
      Type.Array(TraceSourceSchema, {
        minItems: 1,
        maxItems: 4,
        description:
          'Where the trace id that drops draw by is found; the first one present counts. Default: as another filter beside it, else `x-request-id`.',
      }),
    ),
    status: Type.Optional(
      Type.Integer({ minimum: 400, maximum: 599, default: 503, description: 'Status of what is refused.' }),
    ),
    services: Type.Array(DegradedServiceSchema, { minItems: 1, maxItems: 256, description: 'Callees.' }),
    drops: Type.Optional(
      Type.Array(DropSchema, { maxItems: 64, description: 'Proportional drops; each draws for itself.' }),
    ),
    cuts: Type.Optional(
      Type.Array(CutSchema, { maxItems: 64, description: 'Cuts in order; the first that holds answers.' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Breakers, proportional drops and cuts of side dependencies, at the caller.',
  },
);

export type DegradationConfig = Static<typeof DegradationSchema>;
