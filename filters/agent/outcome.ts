/** What the agent's two conversations with the healing centre have in common: how they end, and when the next one begins. */
import { Counter, counter, mix64 } from 'proxy-wasm-assemblyscript-sdk';

/** What became of a call. */
export enum Outcome {
  Ok,
  /** No answer, or another status. */
  Failed,
  /** 401 or 403. */
  Denied,
  Malformed,
  /** Of an older version than what is known, or of one that lies too far ahead. */
  Stale,
}

const OUTCOMES: string[] = ['ok', 'failed', 'denied', 'malformed', 'stale'];

/** Of a status that is not 200. */
export function refusal(status: u32): Outcome {
  return status === 401 || status === 403 ? Outcome.Denied : Outcome.Failed;
}

@final
export class Outcomes {
  private readonly counters: Counter[] = [];

  constructor(what: string) {
    for (let i = 0; i < OUTCOMES.length; i++) {
      this.counters.push(counter(`causeway_agent_${what}_total.result.${OUTCOMES[i]}`));
    }
  }

  count(outcome: Outcome): void {
    this.counters[outcome].add();
  }
}

/** Keeps proxies that have begun together from asking together. */
@final
export class Jitter {
  constructor(private random: u64) {}

  /** `ms`, more or less up to so many percent. */
  of(ms: i64, percent: i64): i64 {
    this.random = mix64(this.random + 0x9e3779b97f4a7c15);
    const span = (ms * percent) / 100;
    return ms - span + ((this.random % ((2 * span + 1) as u64)) as i64);
  }
}
