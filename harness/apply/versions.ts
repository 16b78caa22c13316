import type { EnvoyAdmin } from '../envoy/admin.ts';

/** What an Envoy says about one of its xDS files. */
export interface Subscription {
  /** Version in use; empty before the first. */
  readonly version: string;
  /** Times the file has been read. */
  readonly attempts: number;
  /** Times its content was refused. */
  readonly rejected: number;
}

const NEVER: Subscription = { version: '', attempts: 0, rejected: 0 };

/** Prefix of the statistics of the subscription that reads a node's file; undefined for files that none reads. */
export function statPrefix(path: string): string | undefined {
  const match = /^(lds|cds|eds|ecds|rds)\/(.+)\.json$/.exec(path);
  const name = match?.[2] ?? '';
  switch (match?.[1]) {
    case 'lds':
      return 'listener_manager.lds';
    case 'cds':
      return 'cluster_manager.cds';
    case 'eds':
      return `cluster.${name.replaceAll('.', '_')}`;
    case 'ecds':
      return `extension_config_discovery.${name === 'causeway.network' ? 'network' : 'http'}_filter.${name}`;
    case 'rds':
      // A connection manager's statistics are named by its role, and so is its route configuration.
      return `http.${name}.rds.${name}`;
    default:
      return undefined;
  }
}

export interface Observation {
  /** By stat prefix; see {@link statPrefix}. */
  subscription(prefix: string): Subscription;
  /** Listeners and clusters that have been accepted but do not serve yet. */
  readonly warming: number;
  /** Listeners, or parts of them, that still serve old connections in the old way. */
  readonly draining: number;
}

const WATCHED =
  '(version_text|update_attempt|update_rejected|update_failure|config_fail|listeners_warming|warming_clusters|_draining)$';

/** Asks an Envoy once about all its subscriptions. */
export async function observe(admin: EnvoyAdmin): Promise<Observation> {
  const answer = await admin.get(`/stats?filter=${encodeURIComponent(WATCHED)}`, 2_000);
  if (answer.status !== 200) throw new Error(`admin answered ${answer.status}`);
  const values = new Map<string, string>();
  for (const line of answer.body.split('\n')) {
    const at = line.indexOf(': ');
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 2).replace(/^"(.*)"$/, '$1'));
  }
  const number = (name: string) => Number(values.get(name) ?? 0);
  return {
    subscription: (prefix) => {
      if (!values.has(`${prefix}.update_attempt`)) return NEVER;
      return {
        version: values.get(`${prefix}.version_text`) ?? '',
        attempts: number(`${prefix}.update_attempt`),
        rejected:
          number(`${prefix}.update_rejected`) + number(`${prefix}.update_failure`) + number(`${prefix}.config_fail`),
      };
    },
    warming: number('listener_manager.total_listeners_warming') + number('cluster_manager.warming_clusters'),
    draining:
      number('listener_manager.total_listeners_draining') + number('listener_manager.total_filter_chains_draining'),
  };
}
