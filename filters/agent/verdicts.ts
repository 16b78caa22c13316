/**
 * Verdicts of the healing centre that hold. What an answer says is believed as far as it is new, ends soon and is about a
 * service that this proxy calls. How many of a service's hosts may really go is outlier-blacklist's judgement.
 */
import { equal, hash64, lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Answer } from './answer';
import {
  AHEAD_MS,
  finishVerdicts,
  holds,
  isHost,
  MAX_ROWS,
  MAX_VERDICT_MS,
  ReportReader,
  VERDICTS_SIZE,
  writeVerdict,
} from './centre-records';

/** Why a verdict is not believed. */
export enum Doubt {
  None,
  /** Of a service that this proxy does not call. */
  Service,
  /** No newer than what is known: sent again. */
  Stale,
  /** It would hold for more than 60 s. */
  Expiry,
  /** No address. */
  Host,
  /** More than can be held. */
  Full,
}
export const DOUBTS: i32 = 6;

@final
export class Verdicts {
  /** Of the last answer: what is newer is new. */
  version: i64 = 0;
  count: i32 = 0;
  /** Of the last answer, by `Doubt`. */
  readonly doubts: StaticArray<i32> = new StaticArray<i32>(DOUBTS);
  private readonly services: StaticArray<u64> = new StaticArray<u64>(MAX_ROWS);
  private readonly hosts: StaticArray<u64> = new StaticArray<u64>(MAX_ROWS);
  private readonly until: StaticArray<i64> = new StaticArray<i64>(MAX_ROWS);
  private readonly bytes: usize = heap.alloc(VERDICTS_SIZE);

  /**
   * Takes over an answer to a report that named `report`'s services and asked for what is newer than `since`. False, and
   * nothing is taken, when its version is older than what is known or lies too far ahead: then it is an old answer, or none
   * of a centre's.
   */
  take(answer: Answer, report: ReportReader, since: i64, now: i64): bool {
    this.doubts.fill(0);
    if (answer.version < this.version || answer.version > max(this.version, now) + AHEAD_MS) return false;
    for (let i = 0; i < answer.count; i++) unchecked(this.doubts[this.admit(answer, i, report, since, now)]++);
    this.version = answer.version;
    return true;
  }

  private admit(answer: Answer, i: i32, report: ReportReader, since: i64, now: i64): Doubt {
    const service = unchecked(answer.services[i]);
    const host = unchecked(answer.hosts[i]);
    const version = unchecked(answer.versions[i]);
    if (!uses(report, service)) return Doubt.Service;
    if (version <= since || version > answer.version) return Doubt.Stale;
    if (unchecked(answer.expires[i]) > MAX_VERDICT_MS) return Doubt.Expiry;
    if (!isHost(host)) return Doubt.Host;
    const until = unchecked(answer.out[i]) ? now + unchecked(answer.expires[i]) : 0;
    return this.set(hash64(service), hash64(host), until) ? Doubt.None : Doubt.Full;
  }

  /** `until` 0 forgets the host. */
  private set(service: u64, host: u64, until: i64): bool {
    let at = 0;
    while (at < this.count && (unchecked(this.services[at]) !== service || unchecked(this.hosts[at]) !== host)) at++;
    if (until === 0) {
      if (at < this.count) this.remove(at);
      return true;
    }
    if (at === MAX_ROWS) return false;
    if (at === this.count) this.count++;
    unchecked((this.services[at] = service));
    unchecked((this.hosts[at] = host));
    unchecked((this.until[at] = until));
    return true;
  }

  private remove(at: i32): void {
    const last = --this.count;
    unchecked((this.services[at] = this.services[last]));
    unchecked((this.hosts[at] = this.hosts[last]));
    unchecked((this.until[at] = this.until[last]));
  }

  /** Forgets what has ended, or ends too far ahead because the clock was set back; then everything is asked for anew. */
  settle(now: i64): void {
    for (let i = this.count - 1; i >= 0; i--) {
      const until = unchecked(this.until[i]);
      if (holds(until, now)) continue;
      if (until > now) this.version = 0;
      this.remove(i);
    }
  }

  /** The record for the workers, good until the next call. */
  record(now: i64): Slice {
    for (let i = 0; i < this.count; i++) {
      writeVerdict(this.bytes, i, unchecked(this.services[i]), unchecked(this.hosts[i]), unchecked(this.until[i]));
    }
    return finishVerdicts(this.bytes, this.count, now);
  }
}

function uses(report: ReportReader, service: Slice): bool {
  if (lenOf(service) === 0) return false;
  for (let i = 0; i < report.services; i++) if (equal(report.service(i), service)) return true;
  return false;
}
