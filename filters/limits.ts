/** Bounds that several filters share. Each filter's own bounds are in its schema. */

/** Longest tag: a Kubernetes label value. */
export const MAX_TAG: i32 = 63;
/** Sources a trace id may be taken from. */
export const MAX_TRACE_SOURCES: i32 = 4;
