import Type from 'typebox';
import { IsolationSchema } from '../filters/isolation/schema.ts';
import { Duration, Match, named } from './schema-parts.ts';

/** The part of `causeway.yaml` that takes instances out of traffic while they go on running. */

const { drainSeconds, delaySeconds, identities } = IsolationSchema.properties;

const IsolatedInstanceSchema = Type.Object(
  { match: Type.Optional(Match) },
  { additionalProperties: false, description: 'Requests that match are kept out; without `match`, all are.' },
);

/** Present, even empty, every instance has the filter and a listener on loopback for diagnosis. */
export const MeshIsolationSchema = Type.Object(
  {
    drainSeconds,
    identities,
    instances: Type.Optional(
      named('^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$', IsolatedInstanceSchema, {
        maxProperties: 2000,
        description: 'Isolated instances by id; `causeway isolate` and `causeway release` write them.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Take single instances out of traffic. Default: none.' },
);

/** Present, even empty, instances come and go without failing a request. */
export const LosslessSchema = Type.Object(
  {
    delaySeconds,
    warmUp: Type.Optional(
      Duration(
        'How long the share of an instance that has become healthy grows, in a straight line; 0s = at once. Default 120s.',
      ),
    ),
    edas: Type.Optional(
      Type.Boolean({
        description: 'Instances also take GET /offline on port 54199 of loopback, as in EDAS. Default false.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Instances come and go without failing a request. Default: by health checks alone.',
  },
);
