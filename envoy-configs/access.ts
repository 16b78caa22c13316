import type { HttpFilter } from './filters.ts';
import type { JsonObject, Mesh, Service } from './mesh.ts';
import { identityOf } from './tls.ts';

/**
 * Who may call a service: stock filters in its inbound chains, only where `causeway.yaml` asks. Health checks stay open to
 * everybody, by their exact path: the callers' proxies make them without a token, and before they have TLS.
 */

const TYPE = 'type.googleapis.com/envoy.extensions.filters.http';

/** The filters in their order: first whose token it is, then whose connection. */
export function accessFilters(mesh: Mesh, service: Service): HttpFilter[] {
  return [
    ...(service.jwt === null ? [] : [jwtFilter(service, service.jwt)]),
    ...(service.callers === null ? [] : [callersFilter(mesh, service, service.callers)]),
  ];
}

function jwtFilter(service: Service, jwt: NonNullable<Service['jwt']>): HttpFilter {
  return {
    name: 'causeway.jwt',
    typed_config: {
      '@type': `${TYPE}.jwt_authn.v3.JwtAuthentication`,
      providers: {
        causeway: {
          issuer: jwt.issuer,
          ...(jwt.audiences.length === 0 ? {} : { audiences: jwt.audiences }),
          forward: true,
          local_jwks: { filename: jwt.jwks },
        },
      },
      rules: [
        { match: { path: service.healthCheck.path } },
        { match: { prefix: '/' }, requires: { provider_name: 'causeway' } },
      ],
    },
  };
}

function callersFilter(mesh: Mesh, service: Service, callers: readonly string[]): HttpFilter {
  const identified = callers.map((caller) => ({
    authenticated: { principal_name: { exact: identityOf(mesh.name, caller) } },
  }));
  const path = (exact: string): JsonObject => ({ url_path: { path: { exact } } });
  return {
    name: 'causeway.callers',
    typed_config: {
      '@type': `${TYPE}.rbac.v3.RBAC`,
      rules: {
        action: 'ALLOW',
        policies: {
          'health-checks': { permissions: [path(service.healthCheck.path)], principals: [{ any: true }] },
          callers: { permissions: [{ any: true }], principals: identified },
        },
      },
    },
  };
}
