import { logCritical } from '../log';
import { Slice } from '../slice';
import { Json, parseError, parseJson, parsePermanentJson } from './json';
import { validate } from './validate';

/**
 * A plugin's configuration bytes as a tree that holds its schema, defaults added; null after saying why at critical
 * level. `schema` is permanent ASCII JSON without escapes, `path` what messages start their paths with.
 */
export function loadConfiguration(
  product: string,
  schema: Slice,
  definition: string,
  path: string,
  bytes: Slice,
): Json | null {
  const value = parseJson(bytes);
  if (value === null) {
    logCritical(`${product}: ${path.length > 0 ? path : definition}: ${parseError()}`);
    return null;
  }
  const rules = parsePermanentJson(schema);
  if (rules === null) {
    logCritical(`${product}: ${definition}: found an unreadable schema, ${parseError()}`);
    return null;
  }
  const problem = validate(rules, definition, value, path);
  if (problem === null) return value;
  logCritical(`${product}: ${problem}`);
  return null;
}
