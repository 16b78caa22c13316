import { EditError, edit, keysOf, setIn } from './edit.ts';

/** Edits of `causeway.yaml` about isolation; see edit.ts. */

/** Takes an instance out: all of its traffic, or what matches. What was said of it before is replaced. */
export function isolateInstance(text: string, id: string, match?: object): string {
  return edit(text, (document) => {
    if (!document.hasIn(['isolation', 'instances'])) setIn(document, ['isolation', 'instances'], {}, false);
    setIn(document, ['isolation', 'instances', id], match === undefined ? {} : { match });
  });
}

/** Lets an instance back in. */
export function releaseInstance(text: string, id: string): string {
  return edit(text, (document) => {
    const isolated = keysOf(document, ['isolation', 'instances']);
    if (!isolated.includes(id)) {
      throw new EditError(
        `${id} is not isolated; ${isolated.length === 0 ? 'no instance is' : `these are: ${isolated.join(', ')}`}`,
      );
    }
    document.deleteIn(['isolation', 'instances', id]);
  });
}
