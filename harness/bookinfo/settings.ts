/** What one application process is told, all of it by the environment. */
export interface Settings {
  service: ServiceName;
  version: string;
  instance: string;
  host: string;
  port: number;
  protocol: 'http1' | 'http2';
  /** Base URL of the sidecar's outbound listener. Every call goes there, naming the callee in `Host`. */
  outbound: string;
  /** Milliseconds added to every answer but health checks and evidence. */
  delayMs: number;
  /** Milliseconds after which a call counts as unanswered. Longer than the sample's: a slow machine is no lost request. */
  callTimeoutMs: number;
  /** Headers passed on beside Istio's list, for applications whose tracing library does (such as `baggage`). */
  forwardExtra: readonly string[];
  /** Put an own span id into the trace headers that are passed on, as tracing libraries do. */
  ownSpans: boolean;
  /** File that gets a line when a POST begins and one when it ends; survives a kill. Empty = none. */
  journal: string;
  /** End when standard input closes, so that no application outlives its driver. */
  exitWithStdin: boolean;
}

export const SERVICES = ['productpage', 'details', 'reviews', 'ratings'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** Reads `<service>` from the arguments and the rest from the environment; errors name variable, value, expectation. */
export function readSettings(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Settings {
  const service = SERVICES.find((name) => name === args[0]);
  if (!service)
    throw new Error(`service: found ${JSON.stringify(args[0] ?? '')}, expected one of ${SERVICES.join(', ')}`);
  const version = env.SERVICE_VERSION || 'v1';
  const protocol = env.PROTOCOL || 'http1';
  if (protocol !== 'http1' && protocol !== 'http2') {
    throw new Error(`PROTOCOL: found ${JSON.stringify(protocol)}, expected http1 or http2`);
  }
  return {
    service,
    version,
    instance: env.INSTANCE_ID || `${service}-${version}`,
    host: env.LISTEN_HOST || '0.0.0.0',
    port: number(env, 'LISTEN_PORT', 9080, 65_535),
    protocol,
    outbound: env.OUTBOUND_PROXY || 'http://127.0.0.1:15001',
    delayMs: number(env, 'DELAY_MS', 0, 60_000),
    callTimeoutMs: number(env, 'CALL_TIMEOUT_MS', 10_000, 600_000),
    forwardExtra: (env.FORWARD_EXTRA ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== ''),
    ownSpans: env.OWN_SPANS === '1',
    journal: env.JOURNAL ?? '',
    exitWithStdin: env.EXIT_WITH_STDIN === '1',
  };
}

function number(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
  fallback: number,
  max: number,
): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new Error(`${name}: found ${JSON.stringify(text)}, expected a whole number from 0 to ${max}`);
  }
  return value;
}
