import { EditError, edit, keysOf } from './edit.ts';

/** Edits of `causeway.yaml` about TLS; see edit.ts. */

/** Sets the state of a service's calls. Certificates for the mesh come with the first service that has a state. */
export function setTls(text: string, service: string, mode: 'on' | 'off' | 'canary', percent?: number): string {
  return edit(text, (document) => {
    if (!document.hasIn(['services', service])) {
      throw new EditError(`no service ${service}; there are: ${keysOf(document, ['services']).join(', ')}`);
    }
    if (!document.has('tls')) document.set('tls', document.createNode({}, { flow: true }));
    const path = ['services', service, 'tls'];
    if (!document.hasIn(path)) document.setIn(path, document.createNode({}, { flow: true }));
    document.setIn([...path, 'mode'], mode);
    if (percent === undefined) document.deleteIn([...path, 'percent']);
    else document.setIn([...path, 'percent'], percent);
  });
}
