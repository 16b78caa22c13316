import { isNode, type SchemaNode } from './schema-subset.ts';

/**
 * The same schema in fewer bytes, for the module: subschemas that stand in several places move to `$defs` and are
 * referred to. What it accepts does not change.
 */

/** A reference costs about this much, so that moving anything shorter gains nothing. */
const MIN_LENGTH = 32;

type Definitions = Record<string, SchemaNode>;

/** `schema` is `{ $defs }`; the names of its definitions stay, added ones are `~0`, `~1`, …, which no filter is called. */
export function compact(schema: { readonly $defs: Readonly<Definitions> }): { readonly $defs: Definitions } {
  const counts = new Map<string, number>();
  const count = (node: SchemaNode): SchemaNode => {
    const text = JSON.stringify(node);
    counts.set(text, (counts.get(text) ?? 0) + 1);
    return counts.get(text) === 1 ? eachSubschema(node, count) : node;
  };
  for (const definition of Object.values(schema.$defs)) eachSubschema(definition, count);

  const names = new Map<string, string>();
  const added: Definitions = {};
  const replace = (node: SchemaNode): SchemaNode => {
    const text = JSON.stringify(node);
    // A default belongs to the place, not to the type: the checker looks for it beside the reference.
    if ((counts.get(text) ?? 0) < 2 || text.length < MIN_LENGTH || node.default !== undefined) {
      return eachSubschema(node, replace);
    }
    let name = names.get(text);
    if (name === undefined) {
      name = `~${names.size}`;
      names.set(text, name);
      added[name] = eachSubschema(node, replace);
    }
    return { $ref: `#/$defs/${name}` };
  };
  const $defs = Object.fromEntries(
    Object.entries(schema.$defs).map(([name, definition]) => [name, eachSubschema(definition, replace)]),
  );
  return { $defs: { ...$defs, ...added } };
}

/** A copy of `node` with `change` applied to every schema directly inside it. */
function eachSubschema(node: SchemaNode, change: (subschema: SchemaNode) => SchemaNode): SchemaNode {
  const copy: Record<string, unknown> = { ...node };
  for (const key of ['items', 'additionalProperties', 'propertyNames']) {
    const value = copy[key];
    if (isNode(value)) copy[key] = change(value);
  }
  if (Array.isArray(node.anyOf)) copy.anyOf = node.anyOf.map((alternative) => change(alternative as SchemaNode));
  if (isNode(node.properties)) {
    const entries = Object.entries(node.properties).map(([name, value]) => [name, change(value as SchemaNode)]);
    copy.properties = Object.fromEntries(entries);
  }
  return copy as SchemaNode;
}
