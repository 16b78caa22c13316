import { type HttpFilter, wasmFilter } from '../bench/config.ts';
import { compilePlugin } from './compile-plugin.ts';

/** The suite's module as one of its filters, or as all of them (`causeway`), in a VM of its own role. */
export async function suiteFilter(rootId: string, role: string, configuration: object): Promise<HttpFilter> {
  return wasmFilter({ file: await compilePlugin('filters/suite.ts'), rootId, vmId: 'causeway', role, configuration });
}
