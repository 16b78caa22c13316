import Type from 'typebox';
import { Duration, Name, Percent } from './schema-parts.ts';

/** The parts of `causeway.yaml` about TLS between proxies, and about who may call a service. */

export const MeshTlsSchema = Type.Object(
  {
    mutual: Type.Optional(
      Type.Boolean({ description: 'Servers take only callers with a certificate of this mesh. Default true.' }),
    ),
    idleTimeout: Type.Optional(
      Duration('When a connection that nobody uses is closed, in pools of both states. Default 10s.'),
    ),
    lifetime: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,4}(m|h|d)$',
        description: 'How long a certificate is good; it is renewed when a third is left. Default 30d. (90m, 24h, 30d)',
      }),
    ),
    returnSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        description:
          'How long a canary that has never worked goes back to plain when TLS fails; 0 = never. Default 30.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Certificates for every proxy, and servers that take both plaintext and TLS. Which calls go by TLS is said by service.',
  },
);

export const ServiceTlsSchema = Type.Object(
  {
    mode: Type.Enum(['off', 'canary', 'on'], {
      description: 'off: plaintext. canary: `percent` of the traces by TLS. on: TLS and nothing else.',
    }),
    percent: Type.Optional(Percent),
    pools: Type.Optional(
      Type.Enum(['two', 'one'], {
        description:
          'two: a plain and a TLS pool for each caller. one: a single pool that serves both (HTTP/1), whose stale connections are retired one by one; a canary is a share of the instances. Default two.',
      }),
    ),
    plaintext: Type.Optional(
      Type.Enum(['accept', 'refuse'], {
        description: 'Whether instances still take plaintext from others; refuse needs mode on. Default accept.',
      }),
    ),
  },
  { additionalProperties: false, description: 'State of the calls to this service. Needs `tls` of the mesh.' },
);

export const CallersSchema = Type.Array(Name('A service or a gateway.'), {
  minItems: 1,
  maxItems: 200,
  uniqueItems: true,
  description:
    'Who may call, by the identity in its certificate; everybody else is answered 403. Needs mutual TLS that is on. Default: everybody.',
});

export const JwtSchema = Type.Object(
  {
    issuer: Type.String({ minLength: 1, maxLength: 256, description: 'Value of `iss`.' }),
    audiences: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        minItems: 1,
        maxItems: 16,
        uniqueItems: true,
        description: 'One of these must be in `aud`. Default: any.',
      }),
    ),
    jwks: Type.String({
      pattern: '^/[!-~]{1,1023}$',
      description: 'Absolute path of the JSON Web Key Set, where the Envoys run.',
    }),
  },
  {
    additionalProperties: false,
    description: 'Calls need a JSON Web Token as bearer; without a good one the answer is 401. Default: no token.',
  },
);
