import { type Complaint, type GroupRule, isType, listAt, objectAt, type Place, type Rule } from './finding.ts';
import { pluginOf } from './plugin-rules.ts';

/** Mistakes that show only between several objects of one proxy, or of one folder of Istio's resources. */

type Located = Complaint & { readonly place: Place };

const overrideHeader: GroupRule = {
  name: 'override-header',
  check(places) {
    const headers = new Set(
      places.flatMap(({ value }) =>
        isType(value, 'OverrideHost')
          ? listAt(value, 'override_host_sources').flatMap(({ header }) => (typeof header === 'string' ? [header] : []))
          : [],
      ),
    );
    return places.flatMap((place): Located[] => {
      const removed = place.value.request_headers_to_remove;
      if (!Array.isArray(removed)) return [];
      return removed
        .filter((name) => headers.has(String(name)))
        .map((name) => ({
          place,
          path: ['request_headers_to_remove'],
          reason: `the route takes ${String(name)} off before the override_host policy reads it: no override ever works`,
          fix: 'remove it in an upstream header_mutation filter instead',
        }));
    });
  },
};

const sharedVm: GroupRule = {
  name: 'shared-vm',
  check(places) {
    const plugins = places.filter(({ value }) => pluginOf(value) !== undefined && isType(value, 'Wasm'));
    const byVm = new Map<string, Place[]>();
    for (const place of plugins) {
      const config = objectAt(place.value, 'config') ?? {};
      const vm = objectAt(config, 'vm_config') ?? {};
      const key = JSON.stringify([vm.vm_id ?? '', vm.configuration ?? null]);
      const others = byVm.get(key) ?? [];
      if (!others.some((other) => objectAt(other.value, 'config')?.name === config.name)) others.push(place);
      byVm.set(key, others);
    }
    return [...byVm.values()].flatMap((sharing) =>
      sharing.slice(1).map((place) => ({
        place,
        path: ['config', 'vm_config'],
        reason: `roles ${sharing.map(({ value }) => String(objectAt(value, 'config')?.name)).join(' and ')} share one VM: a trap in one loses the requests in flight in the other`,
        fix: 'another vm_config.configuration for each role, such as { "@type": …StringValue, value: inbound }',
      })),
    );
  },
};

const statsTags: GroupRule = {
  name: 'stats-tags',
  check(places) {
    const [first] = places.filter(({ value }) => pluginOf(value) !== undefined);
    if (!first) return [];
    const tagged = places.some(
      ({ value }) =>
        JSON.stringify(objectAt(value, 'stats_config')?.stats_tags ?? []).includes('causeway_') ||
        String(objectAt(value, 'data')?.['custom_bootstrap.json'] ?? '').includes('causeway_'),
    );
    if (tagged) return [];
    const start =
      places.find(({ value }) => value.admin !== undefined || value.static_resources !== undefined) ?? first;
    return [
      {
        place: start,
        reason: 'no stats_tags for the filters’ metrics: lanes, services and rules end up in the metrics’ names',
        fix: 'the stats_config that `causeway render` writes; under Istio the ConfigMap causeway-bootstrap',
      },
    ];
  },
};

export const GROUP_RULES: readonly GroupRule[] = [overrideHeader, sharedVm, statsTags];

const priority: Rule = {
  name: 'envoyfilter-priority',
  check(value) {
    if (value.kind !== 'EnvoyFilter') return [];
    const given = objectAt(value, 'spec')?.priority;
    if (typeof given === 'number' && given !== 0) return [];
    return [
      {
        path: ['spec'],
        reason: 'an EnvoyFilter without a priority: where it patches in among others depends on when it was made',
        fix: 'spec: { priority: 10 }',
      },
    ];
  },
};

export const ISTIO_RULES: readonly Rule[] = [priority];
