import type { Problem } from './problem.ts';
import { instanceIds, resolvePorts } from './resolve.ts';
import type { CausewayConfig } from './schema.ts';

/** What the schema cannot say of isolation: instances that must exist. The configuration has passed the schema. */
export function checkIsolation(config: CausewayConfig): Problem[] {
  return [...checkInstances(config), ...checkBrokers(config)];
}

function checkInstances(config: CausewayConfig): Problem[] {
  const known = new Set(
    Object.entries(config.services).flatMap(([name, service]) => instanceIds(name, service).map(({ id }) => id)),
  );
  return Object.keys(config.isolation?.instances ?? {})
    .filter((id) => !known.has(id))
    .map((id) => ({
      path: ['isolation', 'instances', id],
      atKey: true,
      found: `no instance "${id}"`,
      expected: 'the id of an instance, such as reviews-base-1',
      hint: '`causeway status` lists them; `causeway release` takes this entry away',
    }));
}

function checkBrokers(config: CausewayConfig): Problem[] {
  const own = Object.values(resolvePorts(config.ports));
  return Object.entries(config.services).flatMap(([name, service]) => {
    const taken = new Set([...own, service.port ?? 9080]);
    return (service.brokers ?? []).flatMap(({ port, at }, index) => {
      const path = ['services', name, 'brokers', index] as const;
      const problems: Problem[] = [];
      if (taken.has(port)) {
        problems.push({ path: [...path, 'port'], found: `port ${port}`, expected: 'one that nothing else uses there' });
      }
      taken.add(port);
      const target = Number(at.slice(at.lastIndexOf(':') + 1));
      if (target < 1 || target > 65_535) {
        problems.push({ path: [...path, 'at'], found: `port ${target}`, expected: '1 to 65535' });
      }
      return problems;
    });
  });
}
