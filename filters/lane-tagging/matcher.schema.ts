import Type, { type Static } from 'typebox';

/**
 * Request matchers, shared by every filter that has rules. A matcher is an object with exactly one key; `all`, `any`
 * and `not` hold further ones, as deep as the 32 levels of a configuration go.
 */

/** Most matchers in one `all` or `any`, and most values in one `in`. */
export const MAX_ALTERNATIVES = 64;

const TEXT = { format: 'header-value', maxLength: 256 } as const;

/** The tests of a text value; a matcher has exactly one of them. */
const tests = {
  exact: Type.Optional(Type.String({ ...TEXT, description: 'The whole value, byte for byte.' })),
  prefix: Type.Optional(Type.String({ ...TEXT, minLength: 1, description: 'How the value starts.' })),
  suffix: Type.Optional(Type.String({ ...TEXT, minLength: 1, description: 'How the value ends.' })),
  in: Type.Optional(
    Type.Array(Type.String({ ...TEXT, description: 'One value.' }), {
      minItems: 1,
      maxItems: MAX_ALTERNATIVES,
      uniqueItems: true,
      description: 'The whole value is one of these.',
    }),
  ),
};
const present = {
  present: Type.Optional(Type.Boolean({ description: 'Whether it is there, with whatever value.' })),
};

/** A test of a value that has a name: the name and exactly one test. */
function named(name: 'header-name' | 'token', description: string, nameDescription: string) {
  return Type.Object(
    { name: Type.String({ format: name, description: nameDescription }), ...present, ...tests },
    { additionalProperties: false, minProperties: 2, maxProperties: 2, description },
  );
}

export const HeaderTestSchema = named(
  'header-name',
  'A request header. Of one that is sent several times the first value counts.',
  'Name of the header, in any letter case.',
);
export const CookieTestSchema = named(
  'token',
  'A cookie. The first one of the name counts; double quotes around its value are taken off.',
  'Name of the cookie, in exact letter case.',
);
export const QueryTestSchema = Type.Object(
  {
    name: Type.String({ format: 'printable', minLength: 1, maxLength: 128, description: 'Name, percent-decoded.' }),
    ...present,
    ...tests,
  },
  {
    additionalProperties: false,
    minProperties: 2,
    maxProperties: 2,
    description: 'A query parameter. The first one of the name counts; names and values are percent-decoded.',
  },
);
export const PathTestSchema = Type.Object(
  {
    ...tests,
    template: Type.Optional(
      Type.String({
        format: 'path-template',
        description: 'How the path is made: `/api/products/{id}/reviews`; `**` at the end is any rest.',
      }),
    ),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    description: 'The path without its query, as it was sent.',
  },
);
export const MethodTestSchema = Type.Object(
  {
    exact: Type.Optional(Type.String({ format: 'token', description: 'One method, such as `GET`.' })),
    in: Type.Optional(
      Type.Array(Type.String({ format: 'token', description: 'One method.' }), {
        minItems: 1,
        maxItems: 16,
        uniqueItems: true,
        description: 'Several methods.',
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'The request method.' },
);
export const IdentityTestSchema = Type.Object(
  { ...present, ...tests },
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    description:
      "The identity in the caller's certificate: its first URI name (`spiffe://…`), or its subject when it has none.",
  },
);
export const CallerTestSchema = Type.Object(
  {
    identity: Type.Optional(IdentityTestSchema),
    cidrs: Type.Optional(
      Type.Array(Type.String({ format: 'cidr', description: 'An address or block.' }), {
        minItems: 1,
        maxItems: MAX_ALTERNATIVES,
        uniqueItems: true,
        description: "Blocks of which one holds the connection's source address.",
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'Who sends the request.' },
);
export const PercentageTestSchema = Type.Object(
  {
    percent: Type.Number({ minimum: 0, maximum: 100, description: 'Share of all traces, in percent.' }),
    salt: Type.Optional(
      Type.String({
        format: 'printable',
        minLength: 1,
        maxLength: 64,
        description: 'Rules with the same salt draw the same traces. Default: the name of the rule.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'A share of the traces, the same ones on every hop. A request without a trace id never matches.',
  },
);

/** A matcher as its users write it. */
export interface Match {
  header?: Static<typeof HeaderTestSchema>;
  cookie?: Static<typeof CookieTestSchema>;
  query?: Static<typeof QueryTestSchema>;
  path?: Static<typeof PathTestSchema>;
  method?: Static<typeof MethodTestSchema>;
  caller?: Static<typeof CallerTestSchema>;
  percentage?: Static<typeof PercentageTestSchema>;
  cel?: string;
  all?: Match[];
  any?: Match[];
  not?: Match;
}

/** Refers to the definition `match`: what a rule has under its key `match`. */
export const MatchSchema = Type.Unsafe<Match>({
  $ref: '#/$defs/match',
  description: 'Which requests: a matcher.',
});

const several = (description: string) =>
  Type.Optional(Type.Array(MatchSchema, { minItems: 1, maxItems: MAX_ALTERNATIVES, description }));

/** Definitions that a schema with a `MatchSchema` in it needs beside itself. */
export const definitions = {
  match: Type.Object(
    {
      header: Type.Optional(HeaderTestSchema),
      cookie: Type.Optional(CookieTestSchema),
      query: Type.Optional(QueryTestSchema),
      path: Type.Optional(PathTestSchema),
      method: Type.Optional(MethodTestSchema),
      caller: Type.Optional(CallerTestSchema),
      percentage: Type.Optional(PercentageTestSchema),
      cel: Type.Optional(
        Type.String({
          format: 'printable',
          minLength: 1,
          maxLength: 4096,
          description: 'An expression of the Common Expression Language over Envoy attributes, evaluated by Envoy.',
        }),
      ),
      all: several('Every one of these matches.'),
      any: several('At least one of these matches.'),
      not: Type.Optional(MatchSchema),
    },
    {
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 1,
      description: 'A matcher: exactly one of these keys.',
    },
  ),
};
