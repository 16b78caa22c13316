import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../e2e/support.ts';
import { StartedEnvoy } from '../flood/sidecar.ts';

/** A filter's example on a port of its own; `application` is the loopback address of what it stands in front of. */
export async function startExample(filter: string, module: string, application: string): Promise<StartedEnvoy> {
  const text = await readFile(join(ROOT, `envoy-configs/examples/${filter}.yaml`), 'utf8');
  return StartedEnvoy.start(
    (adminSocket) =>
      text
        .replaceAll('build/causeway.wasm', module)
        .replaceAll('port_value: 15006', 'port_value: 0')
        .replaceAll('127.0.0.1, port_value: 15081', `${application}, port_value: 15081`)
        .replace(`${filter}.admin.sock`, adminSocket),
    1,
  );
}
