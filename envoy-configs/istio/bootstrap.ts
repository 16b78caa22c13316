import { agentFields, cpuMonitor, OVERLOAD_REFRESH } from '../agent.ts';
import type { AgentSettings, JsonObject, Mesh } from '../mesh.ts';
import { statsConfig } from '../stats.ts';
import { type ConfigMap, configMap } from './kube.ts';
import type { IstioOptions } from './options.ts';

/**
 * What no xDS carries: labels of the filters' metrics and the agent. istio-agent hands it to Envoy on the command line, where
 * it is merged into Istio's own bootstrap: messages field by field, lists appended. A Pod that names the ConfigMap in its
 * annotation `sidecar.istio.io/bootstrapOverride` gets it when it starts, from its own namespace only. An EnvoyFilter for
 * BOOTSTRAP is taken by Istio, and read by nobody since BOOTSTRAP_XDS_AGENT has been removed.
 */

/** The one file of the ConfigMap that istio-agent looks for. */
export const OVERRIDE_FILE = 'custom_bootstrap.json';

/** Where every proxy of Istio has its admin interface. */
const ADMIN: JsonObject = { socket_address: { address: '127.0.0.1', port_value: 15_000 } };

/** Statistics that the agent asks for, which Istio's own list leaves out. */
const PRESSURE = { prefix: 'overload.envoy.resource_monitors.cpu_utilization' };

/** One for each namespace that has proxies. */
export function bootstrapOverrides(mesh: Mesh, istio: IstioOptions): ConfigMap[] {
  const override = mesh.agent === null ? { stats_config: statsConfig() } : withAgent(mesh.agent, istio);
  const data = { [OVERRIDE_FILE]: `${JSON.stringify(override, null, 2)}\n` };
  return [...new Set([istio.namespace, istio.gatewayNamespace])].map((namespace) =>
    configMap(namespace, 'causeway-bootstrap', data),
  );
}

function withAgent(agent: AgentSettings, istio: IstioOptions): JsonObject {
  return {
    stats_config: { ...statsConfig(), stats_matcher: { inclusion_list: { patterns: [PRESSURE] } } },
    ...agentFields(agent, {
      admin: ADMIN,
      wasmPath: istio.agentModule ?? '',
      // What Istio makes of its own resources has no name of a VM, and shared data goes by it.
      vmId: istio.api === 'envoyfilter' ? 'causeway' : '',
    }),
    overload_manager: { refresh_interval: OVERLOAD_REFRESH, resource_monitors: [cpuMonitor(agent)] },
  };
}
