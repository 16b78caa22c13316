import Type, { type Static } from 'typebox';
import { LANE_PATTERN, Name, named } from '../schema-parts.ts';

/** The section `istio` of `causeway.yaml`: how the mesh's words map to a cluster's. */

const LABEL_KEY = '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$';

/** Kubernetes labels. */
export const LabelsSchema = (description: string) =>
  named(LABEL_KEY, Type.String({ pattern: LANE_PATTERN }), { minProperties: 1, maxProperties: 16, description });

export const IstioSchema = Type.Object(
  {
    namespace: Type.Optional(Name('Where the services run. Default: default.')),
    gatewayNamespace: Type.Optional(Name('Where the gateways run. Default: istio-system.')),
    gatewaySelector: Type.Optional(LabelsSchema('Labels of the gateways’ Pods. Default: { istio: ingressgateway }.')),
    domain: Type.Optional(
      Type.String({ pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$', description: 'Default: cluster.local.' }),
    ),
    laneLabel: Type.Optional(
      Type.String({ pattern: LABEL_KEY, description: 'Pod label whose value is the lane. Default: lane.' }),
    ),
    appLabel: Type.Optional(
      Type.String({ pattern: LABEL_KEY, description: 'Pod label whose value is the service. Default: app.' }),
    ),
    fallback: Type.Optional(
      Type.Enum(['composite', 'aggregate'], {
        description:
          'How a chain of lanes is walked. aggregate works with any proxy, but leaves a lane in part while some of its instances are ejected; composite does not, and needs proxies of Envoy 1.40 and later that are built with it, which Istio’s own are not. Default aggregate.',
      }),
    ),
    module: Type.Optional(
      Type.String({
        pattern: '^(oci|file)://[!-~]{1,512}$',
        description:
          'Where proxies find the module: oci://registry/repository:tag or file:///path on each proxy. Default: file:///etc/causeway/causeway.wasm.',
      }),
    ),
    agentModule: Type.Optional(
      Type.String({
        pattern: '^file:///[!-~]{1,512}$',
        description:
          'The module as a file in every proxy’s container, from which the agent starts: file:///path. Default: `module`, where that is a file.',
      }),
    ),
  },
  { additionalProperties: false, description: 'For `causeway render istio` alone.' },
);

export type IstioConfig = Static<typeof IstioSchema>;
