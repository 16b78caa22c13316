import type { Problem } from './problem.ts';
import type { CausewayConfig } from './schema.ts';

type Service = CausewayConfig['services'][string];

/** What the schema cannot say of TLS and of callers. The configuration has passed the schema. */
export function checkTls(config: CausewayConfig): Problem[] {
  return Object.entries(config.services).flatMap(([name, service]) => [
    ...checkState(config, name, service),
    ...checkCallers(config, name, service),
  ]);
}

function checkState(config: CausewayConfig, name: string, service: Service): Problem[] {
  const { tls } = service;
  const path = ['services', name, 'tls'] as const;
  if (tls === undefined) return [];
  if (config.tls === undefined) {
    return [
      {
        path,
        found: 'the state of TLS in a mesh without certificates',
        expected: '`tls` of the mesh',
        hint: 'add `tls: {}` at the top',
      },
    ];
  }
  const problems: Problem[] = [];
  if (tls.mode === 'canary' && tls.percent === undefined) {
    problems.push({ path, found: 'a canary without `percent`', expected: 'its share, 0 to 100' });
  }
  if (tls.mode !== 'canary' && tls.percent !== undefined) {
    problems.push({
      path: [...path, 'percent'],
      found: `percent ${tls.percent} at mode ${tls.mode}`,
      expected: 'none',
      hint: 'only a canary has a share',
    });
  }
  if (tls.pools === 'one' && (service.protocol ?? 'http1') !== 'http1') {
    problems.push({
      path: [...path, 'pools'],
      found: `one pool for ${service.protocol}`,
      expected: 'two',
      hint: 'a connection of HTTP/2 cannot be retired with a request',
    });
  }
  if (tls.plaintext === 'refuse' && tls.mode !== 'on') {
    problems.push({
      path: [...path, 'plaintext'],
      found: `refuse at mode ${tls.mode}`,
      expected: 'accept, or mode on',
      hint: 'callers that send plaintext would be cut off',
    });
  }
  // Calls by TLS reach instances that are ready alone: a lane must not vanish by that.
  if (tls.mode !== 'off') {
    for (const [lane, spec] of Object.entries(service.instances)) {
      if (spec.tls !== false) continue;
      problems.push({
        path: ['services', name, 'instances', lane, 'tls'],
        found: `instances that are not ready for TLS at mode ${tls.mode}`,
        expected: 'true, or mode off',
        hint: 'calls by TLS would not find them',
      });
    }
  }
  return problems;
}

function checkCallers(config: CausewayConfig, name: string, service: Service): Problem[] {
  const path = ['services', name, 'callers'] as const;
  if (service.callers === undefined) return [];
  const problems: Problem[] = [];
  if (service.tls?.mode !== 'on' || config.tls?.mutual === false) {
    problems.push({
      path,
      found: `callers by identity where TLS is ${service.tls?.mode ?? 'off'}${config.tls?.mutual === false ? ' and not mutual' : ''}`,
      expected: 'mutual TLS that is on',
      hint: 'a caller in plaintext has no identity and would be answered 403',
    });
  }
  const known = new Set([...Object.keys(config.services), ...config.gateways.map((gateway) => gateway.name)]);
  for (const [index, caller] of service.callers.entries()) {
    if (known.has(caller)) continue;
    problems.push({
      path: [...path, index],
      found: `the unknown caller "${caller}"`,
      expected: `one of ${[...known].slice(0, 12).join(', ')}`,
    });
  }
  return problems;
}
