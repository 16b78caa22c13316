/** What must hold of the shedding policy whatever happens to it: any order of events, any clock, any report. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { scaled } from '../support/scale.ts';
import { loadShedding } from './shedding.ts';

let module: Awaited<ReturnType<typeof loadShedding>>;

beforeAll(async () => {
  module = await loadShedding();
}, 240_000);

const START = 1_700_001_000_000;
const RUNS = { numRuns: scaled(20_000, 300), seed: 7 };

const oddNumber = fc.oneof(
  fc.double({ min: 0, max: 1000, noNaN: true }),
  fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, -1e308, 1e308, 5e-324, 86_400_000),
);
const worker = fc.nat(2);
const cls = fc.nat(9);
const cohort = fc.nat(127);
/** Mostly forward, at times still, seldom far away or back. */
const pace = fc.oneof(
  { weight: 12, arbitrary: fc.double({ min: 0, max: 20, noNaN: true }) },
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(-5_000, -3_600_000, 3_600_000, 700, 20_000) },
);

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('arrive' as const), worker, cls, cohort, pace, odd: oddNumber }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('end' as const), worker, cls, cohort, pace, odd: oddNumber }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('tick' as const), worker, cls, cohort, pace, odd: oddNumber }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('spoil' as const), worker, cls, cohort, pace, odd: oddNumber }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never;

interface Admitted {
  readonly worker: number;
  readonly number: number;
  readonly at: number;
}

/** Plays events; calls `look` after each. */
function play(events: readonly Event[], look: (now: number) => void): void {
  module.create(3, 15);
  const open: Admitted[] = [];
  let now = START;
  for (const { kind, worker, cls, cohort, pace, odd } of events) {
    now += pace;
    if (kind === 'arrive') {
      // A burst, so that caps are met.
      for (let i = 0; i < 12; i++) {
        const number = module.arrive(worker, cls, (cohort + i * 10) % 128, odd >= 0 && odd <= 1e5 ? odd : 0, now);
        if (number !== 0) open.push({ worker, number, at: now });
        else if (cls === 0) throw new Error('class 0 was refused');
      }
    } else if (kind === 'end') {
      for (const one of open.splice(0, 10)) module.end(one.worker, one.number, cls % 3, now - one.at, odd, now);
    } else if (kind === 'tick') {
      module.tick(worker, odd, now);
    } else {
      const slice = BigInt.asUintN(64, module.recordOf(worker));
      const view = new DataView(
        module.memory?.buffer ?? new ArrayBuffer(0),
        Number(slice >> 32n),
        Number(slice & 0xffffffffn),
      );
      view.setFloat64(16 + 8 * (cohort % 20), odd, true);
    }
    look(now);
  }
}

describe('the shedding policy', () => {
  it('never traps, and its numbers stay numbers', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        play(events, () => {
          for (const worker of [0, 1, 2]) {
            const threshold = module.thresholdOf(worker);
            expect(threshold >= 128 && threshold <= 1280, `threshold ${threshold}`).toBe(true);
            expect(module.queueOf(worker)).toBeGreaterThanOrEqual(0);
            expect(module.provenOf(worker)).toBeGreaterThanOrEqual(0);
            expect(module.baseOf(worker)).toBeGreaterThanOrEqual(0);
          }
        });
      }),
      RUNS,
    );
  });

  it('admits whatever is more important than what it admits', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        play(events, (now) => {
          for (const worker of [0, 1, 2]) {
            let admitted = true;
            for (let key = 0; key < 1280; key += 32) {
              const next = module.admits(worker, Math.floor(key / 128), key % 128, now) !== 0;
              if (next && !admitted) throw new Error(`key ${key} is admitted, one before it is not`);
              admitted = next;
            }
          }
        });
      }),
      { ...RUNS, numRuns: Math.ceil(RUNS.numRuns / 4) },
    );
  });

  it('never refuses below its floor: what is under the threshold, with next to nothing in flight', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        play(events, (now) => {
          const inFlight = [0, 1, 2].reduce((sum, worker) => sum + module.inFlightOf(worker, now), 0);
          if (inFlight > 0) return;
          for (const worker of [0, 1, 2]) {
            const last = module.thresholdOf(worker) - 1;
            // Another worker's count may be as old as its record.
            if (module.peersOf(worker) > 0) continue;
            expect(module.admits(worker, Math.floor(last / 128), last % 128, now)).not.toBe(0);
          }
        });
      }),
      RUNS,
    );
  });
});
