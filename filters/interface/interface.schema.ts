import Type, { type Static } from 'typebox';

/** Most interfaces of one service. */
export const MAX_INTERFACES = 64;

export const InterfaceSchema = Type.Object(
  {
    name: Type.String({ format: 'label-value', description: 'Stands in metrics and in other parts of the file.' }),
    methods: Type.Optional(
      Type.Array(Type.String({ format: 'token', description: 'One method, such as `GET`.' }), {
        minItems: 1,
        maxItems: 9,
        uniqueItems: true,
        description: 'Its methods. Default: all.',
      }),
    ),
    template: Type.String({
      format: 'path-template',
      description: 'Its paths, as in `/api/v1/products/{id}/reviews`; `**` at the end is any rest.',
    }),
  },
  { additionalProperties: false, description: 'One interface: methods and a route template.' },
);

export const InterfacesSchema = Type.Array(InterfaceSchema, {
  maxItems: MAX_INTERFACES,
  description: 'Interfaces in order; the first that fits counts. What fits none is the interface `other`.',
});

export type Interface = Static<typeof InterfaceSchema>;
