import { stringify } from 'yaml';
import type { CausewayConfig } from '../../../envoy-configs/schema.ts';
import { type LoadedConfig, parseConfig } from '../../config/load.ts';
import type { AppSettings } from '../../overload/app.ts';

/** Two services with the same application behind one gateway; only one of them has `overload` in its configuration. */
export const SERVICES = ['unguarded', 'guarded'] as const;

/** 2 requests at once, 20 ms each: 100 per second. It says how long requests wait in it. */
const APP: Omit<AppSettings, 'address' | 'port'> = {
  slots: 2,
  service: { kind: 'fixed', meanMs: 20 },
  slowdown: 1,
  dependencyMs: 0,
  seed: 1,
  queueHeader: 'x-queue-ms',
};
export const CAPACITY = 100;

/** What makes a request one of the core class: callers' proxies set it, by the mesh's `priorities`. */
export const CORE_HEADER = ['x-causeway-class', '1'] as const;

/** The demo's `causeway.yaml`; `script` is the built overload.mjs. */
export function overloadMesh(script: string, network = '127.96'): LoadedConfig {
  const command = [process.execPath, script, 'app', JSON.stringify(APP)];
  const service = {
    command,
    calls: [],
    // An instance that is only slow shall not be taken out: it is the load that is too much.
    healthCheck: { interval: '1s', timeout: '60s' },
    instances: { base: {} },
  };
  const config: CausewayConfig = {
    mesh: 'overload',
    network: { prefix: network },
    gateways: [{ name: 'gateway', routes: SERVICES.map((name) => ({ prefix: `/${name}`, service: name })) }],
    services: { unguarded: service, guarded: { ...service, overload: {} } },
  };
  const text = stringify(config);
  return { file: 'overload demo', text, config: parseConfig(text, 'overload demo') };
}
