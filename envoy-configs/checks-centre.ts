import type { Problem } from './problem.ts';
import type { CausewayConfig } from './schema.ts';

/** What the schema cannot say of the healing centre. The configuration has passed the schema. */
export function checkCentre(config: CausewayConfig): Problem[] {
  const { centre } = config;
  if (centre === undefined) return [];
  const problems: Problem[] = [];
  const path = ['centre'] as const;
  const address = centre.address ?? '127.0.0.1:7070';
  const [ip = '', port] = address.split(':');
  if (Number(port) < 1 || Number(port) > 65_535 || ip.split('.').some((octet) => Number(octet) > 255)) {
    problems.push({ path: [...path, 'address'], found: address, expected: 'ip:port' });
  }
  if (centre.tls === undefined && !ip.startsWith('127.')) {
    problems.push({
      path: [...path, 'address'],
      found: `${address} without \`tls\``,
      expected: 'loopback, or `tls`',
      hint: 'tokens would cross the network in the clear',
    });
  }
  if (config.agent?.enabled === false) {
    problems.push({
      path: ['agent', 'enabled'],
      found: 'a centre without agents',
      expected: 'true',
      hint: 'the agent is what speaks to it',
    });
  }
  if (config.isolation === undefined && !Object.values(config.services).some(({ healing }) => healing)) {
    problems.push({
      path,
      found: 'no service to heal',
      expected: '`healing: true` at one service at least, or `isolation`',
      hint: 'it hears of listings of outlier-blacklist, and isolates instances',
    });
  }
  for (const key of ['tls', 'credentials'] as const) {
    if (!centre.start || centre[key] === undefined) continue;
    problems.push({
      path: [...path, 'start'],
      found: `\`start\` with \`${key}\``,
      expected: 'one of them',
      hint: '`causeway up` runs a centre on loopback, with tokens of its own; run yours by `causeway centre`',
    });
  }
  return problems;
}
