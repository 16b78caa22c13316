import { COVERAGE } from '../../envoy-configs/observability/filters.ts';
import { METRIC_LABELS } from '../../envoy-configs/stats.ts';

/** A metric of the module as Envoy's admin names it, taken apart. */
export interface Metric {
  /** Folder of the filter, or `module`. */
  readonly filter: string;
  /** Without the filter's prefix, such as `requests_total`. */
  readonly event: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const METRIC_PREFIX = 'wasmcustom.causeway_';

const LABEL = new RegExp(`\\.(${METRIC_LABELS.join('|')})\\.`);
/** Longest first, so that no filter hides behind a shorter name. */
const FILTERS = Object.keys(COVERAGE)
  .map((name) => ({ name, prefix: `${name.replaceAll('-', '_')}_` }))
  .sort((a, b) => b.prefix.length - a.prefix.length);

/** Undefined for a name that is none of the module's. */
export function parseMetric(name: string): Metric | undefined {
  if (!name.startsWith(METRIC_PREFIX)) return undefined;
  const [full = '', ...parts] = name.slice(METRIC_PREFIX.length).split(LABEL);
  const labels: Record<string, string> = {};
  for (let i = 0; i + 1 < parts.length; i += 2) labels[parts[i] ?? ''] = parts[i + 1] ?? '';
  const filter = FILTERS.find(({ prefix }) => full.startsWith(prefix));
  return filter
    ? { filter: filter.name, event: full.slice(filter.prefix.length), labels }
    : { filter: 'module', event: full, labels };
}
