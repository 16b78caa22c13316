import type { JsonObject } from './mesh.ts';

/** The parts of the resolved model that say which requests go where, fail or are done without; see mesh.ts. */

/** A diversion rule: requests that match get the lane's tag. Order matters; the first match wins. */
export interface Rule {
  readonly name: string;
  /** `gateway`: tagged at every gateway; `sidecar`: tagged by the caller of the entrance service. */
  readonly at: 'gateway' | 'sidecar';
  /** The service at which the lane's traffic enters. */
  readonly entrance: string;
  /** A request matcher in the words of the lane-tagging filter. */
  readonly match: JsonObject;
  readonly lane: string;
}

/** Where steered traffic goes: an ordered chain of lanes, or exactly one instance. */
export type Target = { readonly lanes: readonly string[] } | { readonly instance: string };

/** Caller-side: share of (or one interface of) the calls to some services goes elsewhere. */
export interface Steering {
  readonly name: string;
  /** Callees; empty = every service. */
  readonly services: readonly string[];
  /** Callers by service name; empty = every caller. */
  readonly callers: readonly string[];
  /** Only requests that want one of these lanes; empty = any. The baseline's name stands for untagged. */
  readonly fromLanes: readonly string[];
  /** Interface of the callee; empty = all. */
  readonly interface: string;
  /** A request matcher, or null for all. */
  readonly match: JsonObject | null;
  /** 0–100, sticky by trace. */
  readonly percent: number;
  readonly to: readonly WeightedTarget[];
}

export interface WeightedTarget {
  readonly target: Target;
  readonly weight: number;
}

/** Provider-side: an instance's own sidecar forwards a share of what it receives to another unit, one hop only. */
export interface Redirect {
  readonly name: string;
  readonly service: string;
  /** Instances of these lanes redirect. */
  readonly fromLanes: readonly string[];
  readonly interface: string;
  readonly match: JsonObject | null;
  readonly percent: number;
  readonly to: string;
}

/** A fault drill confined to one lane: stock fault filter, matched on the tag header. */
export interface Fault {
  readonly name: string;
  readonly lane: string;
  /** Where: at the inbound side of these services; empty = every service. */
  readonly services: readonly string[];
  readonly percent: number;
  /** HTTP status 200–599, or 0 for none. */
  readonly abortStatus: number;
  /** Milliseconds, or 0 for none. */
  readonly delayMs: number;
}

/** Gives requests a priority class; the first match wins. */
export interface Priority {
  /** 0 health and control, 1 core, 5 default, 8 batch, 9 stress test. */
  readonly class: number;
  /** A request matcher. */
  readonly match: JsonObject;
}

/** What callers do without for now. Rules are in the words of the filter beside `from` and `to`. */
export interface Degradation {
  readonly drops: readonly (JsonObject & {
    readonly name: string;
    /** Callers: services and gateways; empty = everybody. */
    readonly from: readonly string[];
    /** Callees; empty = every service. */
    readonly to: readonly string[];
  })[];
  readonly cuts: readonly (JsonObject & {
    readonly name: string;
    readonly from: readonly string[];
    readonly service: string;
  })[];
}
