import { seconds, socketAddress } from './clusters.ts';
import type { CentreSettings, JsonObject } from './mesh.ts';
import { certificateContext } from './tls.ts';

/**
 * How a proxy's agent reaches the healing centre: by a cluster that no route names. The credential is added inside the
 * cluster by stock means, from a file that only Envoy reads: the wasm module, its configuration and every dump are without it.
 */

export const CENTRE_CLUSTER = 'causeway.centre';
/** The agent's `Host`. */
const AUTHORITY = 'causeway-centre';
/** Name of the SDS resource. */
export const TOKEN = 'centre';

const TYPE = 'type.googleapis.com/envoy.extensions';

/** Section `centre` of the agent's configuration. `instance`: id of the one behind it that the centre may isolate. */
export function centreSection(centre: CentreSettings, instance: string | null): JsonObject {
  return {
    cluster: CENTRE_CLUSTER,
    authority: centre.tls?.name ?? AUTHORITY,
    ...(instance === null ? {} : { instance }),
  };
}

/** File of a proxy's token. `secrets` is the proxy's own folder. */
export function tokenPath(centre: CentreSettings, id: string, secrets: string): string {
  return centre.credentials === null ? `${secrets}/${TOKEN}.json` : `${centre.credentials}/${id}.json`;
}

/** `identity`: the proxy has a certificate of the mesh to show. */
export function centreCluster(centre: CentreSettings, id: string, secrets: string, identity: boolean): JsonObject {
  return {
    name: CENTRE_CLUSTER,
    alt_stat_name: 'causeway_centre',
    type: 'STATIC',
    connect_timeout: seconds(1_000),
    load_assignment: {
      cluster_name: CENTRE_CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(centre.address, centre.port) } }] }],
    },
    // One report after the other, and one question that the centre keeps.
    circuit_breakers: { thresholds: [{ max_connections: 2, max_pending_requests: 2, max_requests: 2 }] },
    per_connection_buffer_limit_bytes: 65_536,
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http_protocol_options: {} },
        common_http_protocol_options: { idle_timeout: seconds(30_000) },
        http_filters: [
          credentialInjector(tokenPath(centre, id, secrets)),
          {
            name: 'envoy.filters.http.upstream_codec',
            typed_config: { '@type': `${TYPE}.filters.http.upstream_codec.v3.UpstreamCodec` },
          },
        ],
      },
    },
    ...(centre.tls === null ? {} : { transport_socket: transportSocket(centre.tls, identity ? secrets : null) }),
  };
}

function credentialInjector(path: string): JsonObject {
  return {
    name: 'envoy.filters.http.credential_injector',
    typed_config: {
      '@type': `${TYPE}.filters.http.credential_injector.v3.CredentialInjector`,
      overwrite: true,
      credential: {
        name: 'envoy.http.injected_credentials.generic',
        typed_config: {
          '@type': `${TYPE}.http.injected_credentials.generic.v3.Generic`,
          credential: {
            name: TOKEN,
            sds_config: {
              resource_api_version: 'V3',
              path_config_source: { path, watched_directory: { path: path.slice(0, path.lastIndexOf('/')) } },
            },
          },
        },
      },
    },
  };
}

function transportSocket(tls: NonNullable<CentreSettings['tls']>, secrets: string | null): JsonObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: tls.name,
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
        ...(secrets === null ? {} : certificateContext(secrets)),
        validation_context: {
          trusted_ca: { filename: tls.ca },
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: tls.name } }],
        },
      },
    },
  };
}
