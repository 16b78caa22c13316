/**
 * Names of the internal headers, for AssemblyScript and TypeScript alike. What each is for, and where it is taken off,
 * is said in internal-headers.ts, the one table of them.
 */

/** The tag: the lane's name, as a Kubernetes label value. The one header that an application may set itself. */
export const TAG: string = 'x-asm-traffic-lane';
/** Lane that a chain of it and the baseline asks the load balancer for; `header_to_metadata` consumes it in the same proxy. */
export const LANE: string = 'x-causeway-lane';
/** Any other chain of lanes for the load balancer, base64 of a protobuf list; `header_to_metadata` consumes it in the same proxy. */
export const FALLBACK_LIST: string = 'x-causeway-fallback-list';
/** `1`: only the wanted lane may answer; chooses the route without a baseline behind it, in the same proxy. */
export const STRICT: string = 'x-causeway-strict';
/** Token of the unit that a provider-side redirect sends the request to, in the same proxy. */
export const REDIRECT: string = 'x-causeway-redirect';
/** Marks a request that a provider-side redirect has already moved: it is not moved again. */
export const REDIRECTED: string = 'x-causeway-redirected';
/** `1`: by TLS; chooses the route to the callee's TLS clusters, in the same proxy. */
export const TLS: string = 'x-causeway-tls';
/** Hosts for the load balancer, `ip:port` with commas between, one for each try; `override_host` reads it in the same proxy. */
export const HOSTS: string = 'x-causeway-hosts';
/** Response: the callee's sidecar could not reach its application, so that any method may be sent elsewhere. */
export const UNREACHED: string = 'x-causeway-unreached';
/** Response: the instance is isolated; its sidecar has kept the request from the application. */
export const ISOLATED: string = 'x-causeway-isolated';
/** Response: the lane that the tag asked for. */
export const WANTED_LANE: string = 'x-causeway-wanted-lane';
/** Response: the lane of the host that answered. */
export const SERVED_LANE: string = 'x-causeway-served-lane';
/** Priority class of a request, one digit: 0 health and control, 1 core, 5 default, 8 batch, 9 stress test. */
export const CLASS: string = 'x-causeway-class';
/** On a sample of requests that their caller otherwise drops: how many it has dropped since the last one. */
export const DROPPED: string = 'x-causeway-dropped';
/** Response: shed by the callee's proxy; the value is its threshold, the first key that it refuses. */
export const SHED: string = 'x-causeway-shed';
/** Response: this proxy answered instead of the callee, `breaker`, `drop` or `cut`. */
export const DEGRADED: string = 'x-causeway-degraded';
