import { admittedLatency, due, goodput, isGood, type Span, share } from '../../overload/outcome.ts';
import type { LoadPlan, Phase } from '../../overload/plan.ts';
import type { Request } from '../../overload/record.ts';
import { CAPACITY, CORE_HEADER, SERVICES } from './mesh.ts';

/** The load of the scene, and what is to be seen of it. */

export interface Course {
  readonly title: string;
  /** Multiples of the capacity. */
  readonly times: number;
  readonly seconds: number;
}

export const COURSE: readonly Course[] = [
  { title: 'a calm afternoon', times: 0.5, seconds: 6 },
  { title: 'twice what it can do', times: 2, seconds: 8 },
  { title: 'five times what it can do', times: 5, seconds: 10 },
  { title: 'the crowd has gone', times: 0.5, seconds: 10 },
];

const CORE_SHARE = 0.2;
const PATIENCE_MS = 250;

/**
 * Both services get the same load at the same moments, as other proxies of the mesh send it to their instances; `addresses` are these, in
 * the order of the services. Streams 2n and 2n + 1 are the core and the other requests of service n.
 */
export function loadPlan(addresses: readonly string[], port: number): LoadPlan {
  const phases = (share: number): Phase[] =>
    COURSE.map(({ times, seconds }) => ({ seconds, perSecond: times * CAPACITY * share }));
  const stream = { path: '/', headers: {} };
  return {
    address: addresses[0] ?? '',
    port,
    authority: 'shop.example',
    streams: addresses.flatMap((address, n) => [
      { ...stream, name: `${SERVICES[n]}, core`, address, coreShare: 1, phases: phases(CORE_SHARE), twinOf: 0 },
      { ...stream, name: `${SERVICES[n]}`, address, coreShare: 0, phases: phases(1 - CORE_SHARE), twinOf: 1 },
    ]),
    patienceMs: PATIENCE_MS,
    coreHeader: CORE_HEADER,
    users: 5_000,
    userHeader: 'x-user',
    seed: 1,
  };
}

/** One phase as one service lived through it. */
export interface PhaseFigures {
  readonly service: string;
  readonly phase: string;
  readonly offeredPerSecond: number;
  readonly goodPerSecond: number;
  /** Share of the core requests that were answered, 0 to 1. */
  readonly core: number;
  /** Of what was let through, milliseconds. */
  readonly p99: number;
}

/** A phase's first second belongs to the change. */
const SETTLE_MS = 1_000;

export function phaseFigures(requests: readonly Request[]): PhaseFigures[] {
  let start = 0;
  return COURSE.flatMap(({ title, seconds }) => {
    const span: Span = { from: start + SETTLE_MS, to: start + 1_000 * seconds };
    start += 1_000 * seconds;
    return SERVICES.map((service, n) => {
      const own = requests.filter(({ stream }) => stream >> 1 === n);
      const arrived = due(own, span);
      return {
        service,
        phase: title,
        offeredPerSecond: (1_000 * arrived.length) / (span.to - span.from),
        goodPerSecond: goodput(own, span),
        core: share(
          arrived.filter(({ core }) => core),
          isGood,
        ),
        p99: admittedLatency(arrived, 0.99),
      };
    });
  });
}

export interface Claim {
  readonly what: string;
  readonly holds: boolean;
  readonly found: string;
}

/** What a person should have seen, with room for a busy machine; `make bench-overload` measures the bars. */
export function claims(figures: readonly PhaseFigures[]): Claim[] {
  const of = (service: string, phase: number): PhaseFigures | undefined =>
    figures.find((one) => one.service === service && one.phase === COURSE[phase]?.title);
  const claim = (what: string, value: number | undefined, holds: (value: number) => boolean, unit: string): Claim => {
    const shown =
      value === undefined ? 'nothing' : `${unit === '%' ? (100 * value).toFixed(0) : value.toFixed(0)} ${unit}`;
    return { what, holds: value !== undefined && holds(value), found: shown };
  };
  const perSecond = 'per second';
  const answered = (phase: number): number | undefined => {
    const guarded = of('guarded', phase);
    return guarded && guarded.goodPerSecond / guarded.offeredPerSecond;
  };
  return [
    claim('below its capacity the guarded service refuses next to nothing', answered(0), (value) => value > 0.97, '%'),
    claim(
      'at 5× the unguarded one answers nobody in time',
      of('unguarded', 2)?.goodPerSecond,
      (n) => n < 20,
      perSecond,
    ),
    claim(
      'the guarded one goes on at its capacity',
      of('guarded', 2)?.goodPerSecond,
      (n) => n > 0.85 * CAPACITY,
      perSecond,
    ),
    claim('its core requests are answered at 2×', of('guarded', 1)?.core, (value) => value > 0.95, '%'),
    claim('and at 5×, when they alone are all it can do', of('guarded', 2)?.core, (value) => value > 0.8, '%'),
    claim('when the crowd has gone it answers as before', answered(3), (value) => value > 0.95, '%'),
  ];
}
