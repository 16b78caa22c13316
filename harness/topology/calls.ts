import { split } from './counters.ts';
import { CallRecord } from './history.ts';
import type { LogLine } from './log-tail.ts';
import { parseMetric } from './metric-name.ts';
import { type Edge, type Figures, NOBODY, OTHER, type Place, placeId, type Series } from './model.ts';
import type { PlaceInfo, Places } from './places.ts';

/**
 * Edges and places with what was called. How many calls there were comes from the callers' counters; how long they took
 * and how they ended, which no counter tells by lane, from the callers' access logs.
 */

/** Edges beyond this are counted as calls to `other`. */
const MOST_EDGES = 5_000;

interface Known {
  readonly from: string;
  readonly service: string;
  readonly wanted: string;
  readonly served: string;
  /** Since the callers' Envoys started. */
  calls: number;
  readonly record: CallRecord;
}

type EdgeName = Pick<Known, 'from' | 'service' | 'wanted' | 'served'>;

export interface Computed {
  readonly edges: readonly Edge[];
  readonly found: readonly Place[];
  /** By name, for the order of columns. */
  readonly observed: readonly (readonly [string, string])[];
}

export class Calls {
  private readonly edges = new Map<string, Known>();
  /** By the id of the place that served, and of gateways. */
  private readonly served = new Map<string, CallRecord>();

  /** Ends as many steps as have passed. */
  advance(steps: number): void {
    for (let n = 0; n < steps; n++) {
      for (const { record } of this.edges.values()) record.advance();
      for (const record of this.served.values()) record.advance();
    }
  }

  /** What one proxy has counted and logged since the last look. `fresh`: its counts are older than the looking. */
  take(
    places: Places,
    proxy: string,
    risen: ReadonlyMap<string, number>,
    lines: readonly LogLine[],
    fresh: boolean,
  ): void {
    const place = places.of(proxy);
    if (place === undefined) return;
    const calls = lines.filter(({ role }) => role !== 'inbound').map((line) => this.read(places, proxy, place, line));
    for (const [name, count] of risen) {
      const metric = parseMetric(name);
      if (metric?.filter !== 'lane-fallback' || metric.event !== 'requests_total') continue;
      const { service = OTHER } = metric.labels;
      const wanted = places.lane(metric.labels.wanted ?? OTHER);
      const served = places.lane(metric.labels.served ?? NOBODY);
      for (const [callee, part] of this.callees(places, proxy, service, wanted, served, calls, count)) {
        this.count({ from: place.id, service: callee, wanted, served }, part, fresh);
      }
    }
    const counted = countedEdges(places);
    for (const { edge, line } of calls) {
      if (counted === 'none' || (counted === 'tagged' && line.wanted === null)) this.count(edge, 1, false);
      const failed = line.status >= 500 || line.status === 0;
      for (const record of this.records(edge)) record.end(line.ms, failed);
    }
  }

  compute(places: Places, windowSeconds: number): Computed {
    const absent = new Map<string, Place>();
    const edges: Edge[] = [];
    for (const [id, known] of this.edges) {
      const from = places.byId.get(known.from);
      // What has left the mesh is shown no more.
      if (from === undefined || !this.isKnown(places, known)) continue;
      const figures = known.record.figures(windowSeconds);
      const to = placeId(known.service, known.served === NOBODY ? known.wanted : known.served);
      if (!places.byId.has(to) && !absent.has(to))
        absent.set(to, absentPlace(to, known, this.figures(to, windowSeconds)));
      const { service, wanted, served, calls } = known;
      const fallback = served !== NOBODY && served !== wanted;
      edges.push({ id, from: from.id, to, service, wanted, served, fallback, calls, ...figures });
    }
    const found = [...places.byId.values()].map((place) => ({ ...place, ...this.figures(place.id, windowSeconds) }));
    const observed = edges.map(({ from, service }) => [places.byId.get(from)?.service ?? '', service] as const);
    return { edges, found: [...found, ...absent.values()], observed };
  }

  series(what: { service: string } | { edge: string }, steps: number): Record<string, Series> | undefined {
    if ('edge' in what) {
      const known = this.edges.get(what.edge);
      return known && { [known.served]: known.record.series(steps) };
    }
    const prefix = placeId(what.service, '');
    const found = [...this.served].filter(([id]) => id === what.service || id.startsWith(prefix));
    if (found.length === 0) return undefined;
    return Object.fromEntries(found.map(([id, record]) => [id.slice(prefix.length), record.series(steps)]));
  }

  private figures(place: string, windowSeconds: number) {
    return (this.served.get(place) ?? new CallRecord()).figures(windowSeconds);
  }

  private isKnown(places: Places, { service, wanted, served }: Known): boolean {
    const lanes = [wanted, served].every((lane) => lane === OTHER || places.lane(lane) === lane);
    return lanes && (service === OTHER || places.isService(service));
  }

  /** Outsiders name a gateway as they like, so its counters know no service: its log tells how to share them out. */
  private callees(
    places: Places,
    proxy: string,
    service: string,
    wanted: string,
    served: string,
    calls: readonly Read[],
    count: number,
  ): ReadonlyMap<string, number> {
    const behind = places.behind(proxy);
    const [only] = behind;
    if (service !== OTHER || only === undefined) return new Map([[service, count]]);
    if (behind.length === 1) return new Map([[only, count]]);
    const seen = new Map<string, number>();
    for (const { edge } of calls) {
      if (edge.wanted === wanted && edge.served === served) seen.set(edge.service, (seen.get(edge.service) ?? 0) + 1);
    }
    return split(count, seen, only);
  }

  private read(places: Places, proxy: string, place: PlaceInfo, line: LogLine): Read {
    const service =
      place.kind === 'gateway'
        ? (places.serviceOf(line.instance) ?? places.routed(proxy, line.path))
        : places.named(line.host);
    const wanted = places.lane(line.wanted ?? places.mesh.baseline);
    const served = places.lane(line.served ?? NOBODY);
    return { line, edge: { from: place.id, service, wanted, served } };
  }

  private count(edge: EdgeName, calls: number, fresh: boolean): void {
    const known = this.known(edge);
    known.calls += calls;
    if (fresh) return;
    for (const record of this.records(edge)) record.count(calls);
  }

  /** Records in which a call of this edge shows. */
  private records(edge: EdgeName): CallRecord[] {
    const served = placeId(edge.service, edge.served === NOBODY ? edge.wanted : edge.served);
    const records = [this.known(edge).record, this.record(served)];
    // A gateway's box shows what has come in.
    if (!edge.from.includes('/')) records.push(this.record(edge.from));
    return records;
  }

  private record(place: string): CallRecord {
    const record = this.served.get(place) ?? new CallRecord();
    this.served.set(place, record);
    return record;
  }

  private known(edge: EdgeName): Known {
    const id = edgeId(edge);
    const found = this.edges.get(id);
    if (found) return found;
    const full = this.edges.size >= MOST_EDGES;
    const name = full ? { from: edge.from, service: OTHER, wanted: OTHER, served: OTHER } : edge;
    const known = this.edges.get(edgeId(name)) ?? { ...name, calls: 0, record: new CallRecord() };
    this.edges.set(edgeId(name), known);
    return known;
  }
}

interface Read {
  readonly line: LogLine;
  readonly edge: EdgeName;
}

function edgeId({ from, service, wanted, served }: EdgeName): string {
  return `${from}>${service}:${wanted}>${served}`;
}

function absentPlace(id: string, { service, wanted, served }: Known, figures: Figures): Place {
  const lane = served === NOBODY ? wanted : served;
  return { id, service, lane, kind: 'absent', entrance: false, versions: [], instances: [], ...figures };
}

/** Which calls lane-fallback counts in this mesh; the others are counted from access logs. */
function countedEdges({ mesh }: Places): 'none' | 'tagged' | 'all' {
  const { enabled, settings } = mesh.filters['lane-fallback'];
  if (!enabled) return 'none';
  const { edges } = settings;
  return edges === 'none' || edges === 'all' ? edges : 'tagged';
}
