import type { Status } from './status.ts';

export interface Fault {
  /** Host function, e.g. `proxy_set_shared_data`. */
  readonly call: string;
  /** Status to answer instead of doing the call. */
  readonly status: Status;
  /** First call to fail, counted from 1 since the fault was planned. Default 1. */
  readonly from?: number;
  /** How many calls fail from then on. Default: all. */
  readonly times?: number;
}

/** Answers chosen host calls with a status, without doing them. */
export class Faults {
  #planned: { fault: Fault; seen: number }[] = [];

  plan(fault: Fault): void {
    this.#planned.push({ fault, seen: 0 });
  }

  clear(): void {
    this.#planned = [];
  }

  /** Counts the call; the status when it has to fail. */
  next(call: string): Status | undefined {
    let answer: Status | undefined;
    for (const planned of this.#planned) {
      const { fault } = planned;
      if (fault.call !== call) continue;
      planned.seen++;
      const from = fault.from ?? 1;
      const until = fault.times === undefined ? Number.POSITIVE_INFINITY : from + fault.times;
      if (answer === undefined && planned.seen >= from && planned.seen < until) answer = fault.status;
    }
    return answer;
  }
}
