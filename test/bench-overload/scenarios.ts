import type { AppChange } from '../../harness/overload/app.ts';
import type { Span } from '../../harness/overload/outcome.ts';
import type { Phase } from '../../harness/overload/plan.ts';
import { capacityOf, type ServiceTime } from '../../harness/overload/work.ts';

/** Something that happens to the application while the load runs, milliseconds after the first arrival. */
export type Event = { readonly at: number } & (
  | { readonly change: AppChange }
  | { readonly signal: 'SIGSTOP' | 'SIGCONT' }
);

/** One course of load on one kind of application. */
export interface Scenario {
  readonly name: string;
  readonly slots: number;
  readonly service: ServiceTime;
  /** Load in multiples of the capacity. */
  readonly load: readonly { readonly seconds: number; readonly times: number }[];
  readonly events: readonly Event[];
  /** When what the scenario is about begins: the step of the load, or the event. */
  readonly step: number;
  /** Time after the step that belongs to finding the new state; figures of the steady state begin after it. */
  readonly settleMs: number;
  /** Capacity after the step as a share of that before. */
  readonly remaining: number;
}

const FIXED: ServiceTime = { kind: 'fixed', meanMs: 10 };
const EXPONENTIAL: ServiceTime = { kind: 'exponential', meanMs: 10 };
/** 5 and 100 ms, 10 ms on average. */
const BIMODAL: ServiceTime = { kind: 'bimodal', shortMs: 5, longMs: 100, longShare: 5 / 95 };

const base = { slots: 4, service: FIXED, events: [], settleMs: 500, remaining: 1 } as const;
const CALM_SECONDS = 3;
const LOAD_SECONDS = 6;

/** From half of the capacity to a multiple of it. */
function stepTo(times: number, name = `${times}×`): Scenario {
  const load = [
    { seconds: CALM_SECONDS, times: 0.5 },
    { seconds: LOAD_SECONDS, times },
  ];
  return { ...base, name, load, step: CALM_SECONDS * 1_000 };
}

/** A dependency that answers after 140 ms more, in one step or over three seconds. */
function dependency(name: string, times: number, changes: readonly { at: number; dependencyMs: number }[]): Scenario {
  const events = changes.map(({ at, dependencyMs }) => ({ at, change: { dependencyMs } }));
  return { ...base, name, load: [{ seconds: 9, times }], events, step: 3_000 };
}

const RAMP = Array.from({ length: 30 }, (_, n) => ({ at: 3_000 + 100 * n, dependencyMs: (140 * (n + 1)) / 30 }));

export const SCENARIOS: readonly Scenario[] = [
  { ...stepTo(0.8), load: [{ seconds: 9, times: 0.8 }] },
  stepTo(1),
  stepTo(2),
  stepTo(5),
  stepTo(10),
  { ...base, name: '10×, cold', load: [{ seconds: 7, times: 10 }], step: 0, settleMs: 1_200 },
  dependency('dependency 10→150 ms', 0.5, [{ at: 3_000, dependencyMs: 140 }]),
  dependency('dependency 10→150 ms, ramp', 0.5, RAMP),
  { ...stepTo(2, '2×, exponential'), service: EXPONENTIAL },
  { ...stepTo(2, '2×, bimodal'), service: BIMODAL },
  {
    ...base,
    name: 'half speed',
    load: [{ seconds: 9, times: 0.8 }],
    events: [{ at: 4_000, change: { slowdown: 2 } }],
    step: 4_000,
    settleMs: 1_000,
    remaining: 0.5,
  },
  {
    ...base,
    name: 'stopped for 5 s',
    load: [{ seconds: 14, times: 0.5 }],
    events: [
      { at: 3_000, signal: 'SIGSTOP' },
      { at: 8_000, signal: 'SIGCONT' },
    ],
    step: 8_000,
    settleMs: 2_000,
  },
  { ...stepTo(2, '2× of 50/s'), slots: 1, service: { kind: 'fixed', meanMs: 20 } },
  { ...stepTo(2, '2× of 5,000/s'), slots: 50 },
];

export function scenario(name: string): Scenario {
  const found = SCENARIOS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}; there are ${SCENARIOS.map((s) => s.name).join(', ')}`);
  return found;
}

/** Requests per second that the application can do at first. */
export function fullCapacity({ slots, service }: Scenario): number {
  return capacityOf({ slots, service, slowdown: 1, dependencyMs: 0 });
}

export function phases(one: Scenario): Phase[] {
  return one.load.map(({ seconds, times }) => ({ seconds, perSecond: times * fullCapacity(one) }));
}

/** Times the capacity that is offered after the step. */
export function finalTimes({ load, remaining }: Scenario): number {
  return (load.at(-1)?.times ?? 0) / remaining;
}

/** From the step to the end of the load. */
export function after({ load, step }: Scenario): Span {
  return { from: step, to: load.reduce((sum, { seconds }) => sum + seconds * 1_000, 0) };
}

/** The steady state after it. */
export function settled(one: Scenario): Span {
  return { ...after(one), from: one.step + one.settleMs };
}
