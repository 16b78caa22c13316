import Type, { type Static } from 'typebox';
import { Authorities } from '../common.schema.ts';
import { TraceSourceSchema } from '../trace-propagation/schema.ts';

/** Most callees of one configuration. */
export const MAX_SERVICES = 256;

const TlsServiceSchema = Type.Object(
  {
    name: Type.String({
      format: 'lane',
      minLength: 1,
      maxLength: 63,
      description: 'Stands in metrics; salt of `percent`.',
    }),
    authorities: Type.Optional(Authorities),
    prefixes: Type.Optional(
      Type.Array(
        Type.String({ format: 'printable', minLength: 1, maxLength: 256, description: 'How the path starts.' }),
        {
          minItems: 1,
          maxItems: 64,
          uniqueItems: true,
          description: 'Paths that the gateway routes to it; the longest prefix of all services counts (`gateway`).',
        },
      ),
    ),
    mode: Type.Optional(
      Type.Enum(['off', 'canary', 'on'], {
        default: 'off',
        description: '`off`: plain. `on`: TLS and nothing else. `canary`: `percent` of the traces by TLS.',
      }),
    ),
    percent: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 100,
        default: 0,
        description:
          'Share of the traces that a canary sends by TLS; a request without a trace id belongs to 100 alone.',
      }),
    ),
    pools: Type.Optional(
      Type.Enum(['two', 'one'], {
        default: 'two',
        description:
          '`two`: a plain and a TLS cluster, chosen by the token. `one`: a cluster that serves both by endpoint metadata; `upstream` retires its stale connections.',
      }),
    ),
  },
  { additionalProperties: false, description: 'A callee.' },
);

/** Configuration of `connection-elimination`; every default is the one the filter compiles in. */
export const ConnectionEliminationSchema = Type.Object(
  {
    direction: Type.Enum(['outbound', 'gateway', 'upstream'], {
      description:
        '`outbound` and `gateway` choose the pool of each call; `upstream` stands in a cluster and retires connections whose state is not that of their host.',
    }),
    services: Type.Optional(Type.Array(TlsServiceSchema, { maxItems: MAX_SERVICES, description: 'Callees.' })),
    returnSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        default: 30,
        description:
          'How long a canary whose handshake failed goes back to plain, if no host of the service has ever completed TLS for this proxy; 0 = never.',
      }),
    ),
    sources: Type.Optional(
      Type.Array(TraceSourceSchema, {
        minItems: 1,
        maxItems: 4,
        description:
          'Where the trace id that `percent` draws by is found. Default: as in `trace-propagation` beside it, else `x-request-id`.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Takes connections whose TLS state is not the expected one out of use, without failing a request.',
  },
);

export type ConnectionEliminationConfig = Static<typeof ConnectionEliminationSchema>;
export type TlsServiceConfig = Static<typeof TlsServiceSchema>;
