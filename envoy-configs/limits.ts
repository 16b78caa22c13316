import type { JsonObject, Service } from './mesh.ts';

/** What `overload` and `limits` both need to know of an application. */
const REPORTS = ['queueTime', 'queueTimeHeader', 'orcaMetric'] as const;

/** What a service's `adaptive-rate-limit` filter is told, in its own words; null when it has no limits. */
export function limitSection(service: Service): JsonObject | null {
  const { limits, overload } = service;
  if (limits === null) return null;
  const { interfaces: rates, settings } = limits;
  if (Object.keys(rates).length === 0 && Object.keys(settings).length === 0) return null;
  const asked = Object.keys(rates).length > 0 || settings.adaptive !== undefined;
  return {
    ...Object.fromEntries(REPORTS.flatMap((key) => (overload?.[key] === undefined ? [] : [[key, overload[key]]]))),
    ...settings,
    ...(asked && service.interfaces.length > 0
      ? { interfaces: service.interfaces.map((item) => limited(item, rates[item.name])) }
      : {}),
  };
}

function limited({ name, methods, template }: Service['interfaces'][number], rate: number | undefined): JsonObject {
  return {
    name,
    template,
    ...(methods.length === 0 ? {} : { methods }),
    ...(rate === undefined ? {} : { perSecond: rate }),
  };
}

/** Whether instances of the service tell requests of class 0 and 9 from others. */
export function readsClasses(service: Pick<Service, 'overload' | 'limits'>): boolean {
  return service.overload !== null || service.limits !== null;
}
