import type { Json, JsonObject } from '../../envoy-configs/mesh.ts';

/** A mistake, where it is, what it does, and what to do about it. */
export interface Finding {
  /** The rule's name, for machines. */
  readonly rule: string;
  /** `file:line:column`, or the admin interface that said it. */
  readonly place: string;
  /** Path of the field, such as `resources[0].health_checks[0]`. */
  readonly field: string;
  readonly reason: string;
  readonly fix: string;
}

export type Path = readonly (string | number)[];

/** One file, or one answer of an admin interface. */
export interface Document {
  /** Documents of one proxy (or one folder of Istio resources) belong together. */
  readonly group: string;
  readonly root: Json;
  /** Text of a place in it. */
  at(path: Path): string;
}

/** An object somewhere in a document. */
export interface Place {
  readonly document: Document;
  readonly path: Path;
  readonly value: JsonObject;
}

/** What a rule says of an object: where below it, and what. */
export interface Complaint {
  readonly path?: Path;
  readonly reason: string;
  readonly fix: string;
}

/** Looks at each object by itself. */
export interface Rule {
  readonly name: string;
  check(value: JsonObject): readonly Complaint[];
}

/** Looks at everything that one proxy (or folder) has. */
export interface GroupRule {
  readonly name: string;
  check(places: readonly Place[]): readonly (Complaint & { readonly place: Place })[];
}

/** Deepest nesting that is followed; what is deeper no proxy would take. */
const MAX_DEPTH = 100;

/** Every object of a document, parents first. */
export function* places(document: Document): Generator<Place> {
  yield* below(document, document.root, []);
}

function* below(document: Document, value: Json, path: Path): Generator<Place> {
  if (typeof value !== 'object' || value === null || path.length > MAX_DEPTH) return;
  if (Array.isArray(value)) {
    for (const [index, item] of (value as readonly Json[]).entries()) yield* below(document, item, [...path, index]);
    return;
  }
  const object = value as JsonObject;
  yield { document, path, value: object };
  for (const [key, item] of Object.entries(object)) yield* below(document, item, [...path, key]);
}

export function objectAt(value: Json | undefined, ...path: string[]): JsonObject | undefined {
  let current: Json | undefined = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null || Array.isArray(current)) return undefined;
    current = (current as JsonObject)[key];
  }
  return typeof current === 'object' && current !== null && !Array.isArray(current)
    ? (current as JsonObject)
    : undefined;
}

export function listAt(value: JsonObject, key: string): readonly JsonObject[] {
  const list = value[key];
  return Array.isArray(list) ? (list as readonly JsonObject[]).filter((item) => typeof item === 'object' && item) : [];
}

export const isType = (value: JsonObject, name: string): boolean =>
  typeof value['@type'] === 'string' && value['@type'].endsWith(`.${name}`);
