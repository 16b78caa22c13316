import type { Problem } from '../problem.ts';
import { LANE_PATTERN } from '../schema-parts.ts';

/**
 * Lanes as Alibaba's service mesh words them — a TrafficLabel, VirtualServices whose destination is `$<label>` with a `fallback`,
 * DestinationRules with a subset for each lane — into the words of `causeway.yaml`. What cannot be said there is a problem
 * with its place, never dropped.
 */

export interface Imported {
  /** What `causeway.yaml` is to say; the loader judges it. */
  readonly config: Record<string, unknown>;
  readonly problems: readonly Problem[];
}

type Value = Record<string, unknown>;
type Path = readonly (string | number)[];

interface Route {
  readonly path: Path;
  readonly subset: string;
  readonly fallback: string | undefined;
  readonly match: readonly Value[];
  readonly sets: Value;
}

const DEFAULT_TAG = 'x-asm-traffic-lane';
const CASES = ['noinstances', 'notavailable'];

/** `documents`: all resources, in file order. `mesh`: the name that the result gets. */
export function importLanes(documents: readonly unknown[], mesh: string): Imported {
  return new Importer().run(documents, mesh);
}

class Importer {
  private readonly problems: Problem[] = [];
  private readonly services = new Map<string, Map<string, Value>>();
  private readonly targets = new Set<string>();
  private readonly permissive = new Set<string>();
  private readonly strict = new Set<string>();
  private readonly rules: Value[] = [];
  private readonly entrances = new Set<string>();
  private tag = DEFAULT_TAG;
  private traceHeader: string | undefined;

  run(documents: readonly unknown[], mesh: string): Imported {
    const of = (kind: string) =>
      documents.flatMap((document, index) => {
        const value = object(document);
        return value.kind === kind ? [{ value, path: [index] as Path }] : [];
      });
    for (const { value, path } of of('TrafficLabel')) this.trafficLabel(value, path);
    for (const { value, path } of of('DestinationRule')) this.destinationRule(value, path);
    for (const { value, path } of of('VirtualService')) this.virtualService(value, path);
    if (this.services.size === 0) this.add([], 'no DestinationRule with subsets', 'one for each service with lanes');
    return { config: this.config(mesh), problems: this.problems };
  }

  private trafficLabel(value: Value, path: Path): void {
    const spec = object(value.spec);
    const hosts = list(spec.hosts);
    if (hosts.length > 0 && !(hosts.length === 1 && hosts[0] === '*')) {
      this.add([...path, 'spec', 'hosts'], JSON.stringify(hosts), '["*"]: a tag belongs to the whole mesh');
    }
    for (const [index, item] of list(spec.rules).entries()) {
      const rule = object(item);
      const labels = list(rule.labels).map((label) => String(object(label).name ?? ''));
      const [name] = labels;
      if (labels.length !== 1 || name === undefined || !/^[a-z0-9-]{1,64}$/.test(name)) {
        this.add([...path, 'spec', 'rules', index, 'labels'], JSON.stringify(labels), 'one label, named as a header');
      } else this.tag = name;
      if (typeof rule.traceIdHeader === 'string') this.traceHeader = rule.traceIdHeader.toLowerCase();
    }
  }

  private destinationRule(value: Value, path: Path): void {
    const spec = object(value.spec);
    const lanes = this.service(String(spec.host ?? ''), [...path, 'spec', 'host']);
    for (const [index, item] of list(spec.subsets).entries()) {
      const subset = object(item);
      const name = String(subset.name ?? '');
      if (!new RegExp(LANE_PATTERN).test(name)) {
        this.add([...path, 'spec', 'subsets', index, 'name'], JSON.stringify(name), 'the name of a lane');
        continue;
      }
      const labels = object(subset.labels);
      const { version } = labels;
      lanes.set(name, { ...(typeof version === 'string' ? { version } : {}), labels });
    }
  }

  private virtualService(value: Value, path: Path): void {
    const spec = object(value.spec);
    const [host] = list(spec.hosts);
    const service = shortName(String(host ?? ''));
    if (!this.services.has(service)) {
      this.add([...path, 'spec', 'hosts'], JSON.stringify(host), 'a host with a DestinationRule');
      return;
    }
    for (const [index, item] of list(spec.http).entries()) {
      const route = this.route(object(item), [...path, 'spec', 'http', index]);
      if (route) this.use(service, route);
    }
  }

  private route(http: Value, path: Path): Route | undefined {
    const [only, ...more] = list(http.route).map(object);
    if (!only || more.length > 0) {
      this.add([...path, 'route'], `${more.length + (only ? 1 : 0)} destinations`, 'one; shares are `steering`');
      return undefined;
    }
    const fallback = object(only.fallback);
    const cases = String(fallback.case ?? '')
      .split('|')
      .filter((word) => word !== '');
    const unknown = cases.find((word) => !CASES.includes(word));
    if (unknown !== undefined) this.add([...path, 'route', 0, 'fallback', 'case'], unknown, CASES.join('|'));
    const target = object(fallback.target).subset;
    return {
      path,
      subset: String(object(only.destination).subset ?? ''),
      fallback: typeof target === 'string' ? target : undefined,
      match: list(http.match).map(object),
      sets: object(object(object(only.headers ?? http.headers).request).set),
    };
  }

  private use(service: string, route: Route): void {
    const { subset, fallback, match, path } = route;
    if (subset.startsWith('$')) {
      if (subset.slice(1) !== this.tag) {
        this.add([...path, 'route', 0, 'destination', 'subset'], subset, `$${this.tag}, the TrafficLabel's label`);
      }
      if (fallback !== undefined) this.targets.add(fallback);
      const lanes = fallback === undefined ? this.strict : this.permissive;
      for (const lane of this.services.get(service)?.keys() ?? []) lanes.add(lane);
      return;
    }
    if (match.length === 0) {
      this.targets.add(subset);
      return;
    }
    if (fallback !== undefined) this.targets.add(fallback);
    (fallback === undefined ? this.strict : this.permissive).add(subset);
    if (route.sets[this.tag] !== subset) {
      this.add(
        path,
        `requests that go to ${subset} without its tag`,
        `headers.request.set: { ${this.tag}: ${subset} }`,
      );
      return;
    }
    this.entrances.add(service);
    const matchers = match.map((one, index) => this.matcher(one, [...path, 'match', index]));
    const [only] = matchers;
    this.rules.push({
      name: `${service}-${subset}-${this.rules.length + 1}`
        .toLowerCase()
        .replaceAll(/[^a-z0-9-]/g, '-')
        .slice(0, 40),
      at: 'sidecar',
      entrance: service,
      lane: subset,
      match: matchers.length === 1 ? only : { any: matchers },
    });
  }

  /** All conditions of one element of `match`. */
  private matcher(match: Value, path: Path): Value {
    const parts: Value[] = [];
    for (const [key, value] of Object.entries(match)) {
      if (key === 'headers' || key === 'queryParams') {
        for (const [name, test] of Object.entries(object(value))) {
          const word = this.test(object(test), [...path, key, name]);
          parts.push({
            [key === 'headers' ? 'header' : 'query']: { name: key === 'headers' ? name.toLowerCase() : name, ...word },
          });
        }
      } else if (key === 'uri') parts.push({ path: this.test(object(value), [...path, key]) });
      else if (key === 'method') parts.push({ method: this.test(object(value), [...path, key]) });
      else if (key !== 'name') this.add([...path, key], key, 'headers, uri, queryParams or method');
    }
    const [only] = parts;
    return parts.length === 1 && only ? only : { all: parts };
  }

  private test(test: Value, path: Path): Value {
    const [[word, value] = []] = Object.entries(test);
    if ((word === 'exact' || word === 'prefix') && typeof value === 'string') return { [word]: value };
    this.add(path, JSON.stringify(test), 'exact or prefix; for a regular expression say `cel:` in causeway.yaml');
    return { exact: '' };
  }

  private service(host: string, path: Path): Map<string, Value> {
    const name = shortName(host);
    if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) this.add(path, JSON.stringify(host), "a service's host");
    const known = this.services.get(name) ?? new Map<string, Value>();
    this.services.set(name, known);
    return known;
  }

  private config(mesh: string): Record<string, unknown> {
    const [baseline = 'baseline', ...others] = this.targets;
    if (others.length > 0) this.add([], `the baselines ${[...this.targets].join(', ')}`, 'one for the whole mesh');
    const names = new Set([...this.services.values()].flatMap((lanes) => [...lanes.keys()]));
    names.delete(baseline);
    const lanes = [...names].map((lane) => [
      lane,
      this.strict.has(lane) && !this.permissive.has(lane) ? { mode: 'strict' } : {},
    ]);
    const services = [...this.services].map(([name, instances]) => [
      name,
      { ...(this.entrances.has(name) ? { entrance: true } : {}), instances: Object.fromEntries(instances) },
    ]);
    const [first = ''] = this.services.keys();
    return {
      mesh,
      baseline,
      tag: { header: this.tag },
      ...(this.traceHeader === undefined ? {} : { trace: { sources: [{ header: this.traceHeader }] } }),
      gateways: [{ name: 'gateway', routes: [{ prefix: '/', service: [...this.entrances][0] ?? first }] }],
      services: Object.fromEntries(services),
      lanes: Object.fromEntries(lanes),
      ...(this.rules.length === 0 ? {} : { rules: this.rules }),
    };
  }

  private add(path: Path, found: string, expected: string): void {
    this.problems.push({ path, found, expected });
  }
}

function object(value: unknown): Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Value) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `reviews` of `reviews.default.svc.cluster.local`. */
function shortName(host: string): string {
  return host.split('.')[0] ?? '';
}
