import Type, { type TSchema } from 'typebox';
import { TracePropagationSchema } from '../filters/trace-propagation/schema.ts';

/** Small schemas that several parts of `causeway.yaml` use. */

export const LANE_PATTERN = '^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$';
export const NAME_PATTERN = '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$';

/** A DNS label of at most 40 bytes, so that `<service>-<lane>-<n>` stays usable as a file and host name. */
export const Name = (description: string) => Type.String({ pattern: NAME_PATTERN, description });

/** A Kubernetes label value: what a tag may be. */
export const laneSchema = Type.String({
  pattern: LANE_PATTERN,
  description: 'Name of a lane.',
});

/** A mapping whose keys all match a pattern. A `Type.Record` alone would let every other key pass, unchecked. */
export function named<T extends TSchema>(pattern: string, value: T, options: object) {
  return Type.Record(Type.String({ pattern }), value, { additionalProperties: false, ...options });
}

export const Port = Type.Integer({ minimum: 1, maximum: 65535 });

export const Percent = Type.Number({ minimum: 0, maximum: 100 });

export const Duration = (description: string) =>
  Type.String({ pattern: '^[0-9]{1,7}(\\.[0-9]{1,3})?(ms|s|m)$', description: `${description} (500ms, 2s, 1m)` });

/** A request matcher, as every filter has it. */
export { MatchSchema as Match } from '../filters/lane-tagging/matcher.schema.ts';

/** What trace-propagation is told, without what the mesh knows itself. */
export const TraceSection = Type.Object(Type.Omit(TracePropagationSchema, ['direction', 'tagHeader']).properties, {
  additionalProperties: false,
  description: 'How requests of one trace are recognised.',
});

/** Milliseconds of a {@link Duration}; the schema has checked its form. */
export function milliseconds(text: string): number {
  const match = /^([0-9.]+)(ms|s|m)$/.exec(text);
  if (!match) throw new RangeError(`not a duration: ${text}`);
  return Math.round(Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] as 'ms' | 's' | 'm']);
}
