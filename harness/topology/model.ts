/** What the collector computes and the page, the drawing and the text show. Plain JSON. */

export interface Topology {
  readonly mesh: string;
  readonly baseline: string;
  /** When it was computed, milliseconds since 1970. */
  readonly at: number;
  /** Seconds that rates, shares and percentiles look back on. */
  readonly windowSeconds: number;
  /** The baseline first, then as in the file. */
  readonly lanes: readonly LaneInfo[];
  /** Services and gateways by distance from the edge. */
  readonly columns: readonly (readonly string[])[];
  readonly places: readonly Place[];
  readonly edges: readonly Edge[];
  readonly proxies: readonly ProxyInfo[];
  readonly filters: readonly FilterState[];
}

export interface LaneInfo {
  readonly name: string;
  readonly mode: 'baseline' | 'strict' | 'permissive';
  /** Lanes that stand in for it, in order. */
  readonly chain: readonly string[];
}

/** What was measured in the window. Without calls there are no shares and no times. */
export interface Figures {
  /** Calls a second. */
  readonly rate: number;
  /** 0–1: answers of 500 and above, and calls without an answer. */
  readonly errorShare: number | null;
  /** Milliseconds at the caller, tries and fallback included. */
  readonly p50: number | null;
  readonly p99: number | null;
}

/** A service in a lane, or a gateway: a box of the drawing. */
export interface Place extends Figures {
  /** `service/lane`; a gateway's name alone. */
  readonly id: string;
  readonly service: string;
  readonly lane: string;
  /** `absent`: calls wanted this lane of the service, and nobody served them. */
  readonly kind: 'gateway' | 'service' | 'absent';
  /** Traffic of a lane may enter here. */
  readonly entrance: boolean;
  readonly versions: readonly string[];
  /** Ids of the proxies; empty where absent. */
  readonly instances: readonly string[];
}

/** Calls from one place to a service, by wanted and served lane. */
export interface Edge extends Figures {
  readonly id: string;
  /** Ids of places. */
  readonly from: string;
  readonly to: string;
  readonly service: string;
  readonly wanted: string;
  /** `none` = no instance answered. */
  readonly served: string;
  /** Served by another lane than the wanted one. */
  readonly fallback: boolean;
  /** Calls since the callers' Envoys started, as their counters say. */
  readonly calls: number;
}

export interface ProxyInfo {
  readonly id: string;
  /** Id of its place. */
  readonly place: string;
  /** `silent`: its admin interface does not answer. */
  readonly state: 'live' | 'silent';
  /** Since when, milliseconds since 1970. */
  readonly since: number;
}

export interface FilterState {
  readonly filter: string;
  /** `alarm`: something is refused, out or failing now. */
  readonly state: 'idle' | 'working' | 'alarm';
  readonly facts: readonly Fact[];
}

export interface Fact {
  readonly label: string;
  /** Which of them say so: all where rates are added up, one where the highest value is shown. */
  readonly proxies: readonly string[];
  /** Such as `service reviews`; empty without labels. */
  readonly about: string;
  readonly value: number;
  readonly unit: string;
  readonly alarm: boolean;
}

/** The last fifteen minutes of something, oldest first; null where nothing was called. */
export interface Series {
  /** Calls in the step. */
  readonly calls: readonly number[];
  readonly errors: readonly number[];
  readonly p50: readonly (number | null)[];
  readonly p99: readonly (number | null)[];
}

export interface History {
  /** Seconds between two points. */
  readonly stepSeconds: number;
  /** End of the last point, milliseconds since 1970. */
  readonly at: number;
  /** By lane that served. */
  readonly series: Readonly<Record<string, Series>>;
}

/** Lane of a call that nobody served. */
export const NOBODY = 'none';
/** Callee of a call whose host name no service has. */
export const OTHER = 'other';

export const placeId = (service: string, lane: string): string => `${service}/${lane}`;
