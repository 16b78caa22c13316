import type { JsonObject } from '../mesh.ts';
import type { ChainRole } from '../rendered.ts';
import { type Resource, resource } from './kube.ts';
import type { IstioOptions } from './options.ts';

/**
 * The wasm filter as TrafficExtension (Istio 1.30 and later) or WasmPlugin (before). Both leave out what an EnvoyFilter can
 * say: a VM for each role and a short back-off after a trap. So a trap in one role loses the other's requests in flight too.
 */

/** To Istio a gateway's listeners are its callers' side. */
const MODES = { gateway: 'CLIENT', inbound: 'SERVER', outbound: 'CLIENT' } as const;

export function pluginResource(
  role: ChainRole,
  name: string,
  sections: JsonObject,
  istio: IstioOptions,
  selector?: Readonly<Record<string, string>>,
): Resource {
  const namespace = role === 'gateway' ? istio.gatewayNamespace : istio.namespace;
  const labels = role === 'gateway' ? istio.gatewaySelector : selector;
  const chosen = labels === undefined ? {} : { selector: { matchLabels: labels } };
  const wasm = {
    url: istio.module.url,
    sha256: istio.module.sha256,
    pluginName: 'causeway',
    failStrategy: 'FAIL_RELOAD',
    pluginConfig: sections,
  };
  if (istio.api === 'wasmplugin') {
    return resource('WasmPlugin', namespace, name, { ...chosen, ...wasm, match: [{ mode: MODES[role] }] });
  }
  return resource('TrafficExtension', namespace, name, { ...chosen, match: [{ mode: MODES[role] }], wasm });
}
