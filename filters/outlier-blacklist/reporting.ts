/**
 * What the judging worker and the agent tell each other, where the agent has a healing centre: the agent hears what has become
 * of each host, the judge what the centre wants out.
 */
import { ascii, getShared, OVERWRITE, Slice, setShared } from 'proxy-wasm-assemblyscript-sdk';
import {
  hasCentre,
  REPORT_KEY,
  ReportWriter,
  VERDICTS_KEY,
  verdictHolds,
  verdictHost,
  verdictService,
  verdictsOf,
} from '../agent/centre-records';
import { OutlierService } from './config';
import { HostState } from './judged';
import { Judge } from './policy';
import { hostKeyOf } from './row';

const REPORT = ascii(REPORT_KEY);
const VERDICTS = ascii(VERDICTS_KEY);
const PERIOD_MS: i64 = 1000;

@final
export class Reporting {
  private writer: ReportWriter | null = null;
  private reportedAt: i64 = 0;
  private reported: u32 = 0;
  private asked: bool = false;
  /** By service: its number in the report. */
  private readonly numbers: StaticArray<i32>;

  constructor(private readonly services: OutlierService[]) {
    this.numbers = new StaticArray<i32>(services.length);
  }

  free(): void {
    const writer = this.writer;
    if (writer !== null) writer.free();
    this.writer = null;
  }

  /** Tells the judge which hosts the centre wants out. A host that is not known is passed over. */
  read(judge: Judge, now: i64): void {
    const verdicts: Slice = getShared(VERDICTS);
    this.asked = hasCentre(verdicts, now);
    for (let i = 0; i < judge.hosts.length; i++) judge.hosts[i].wanted = false;
    for (let i = 0, n = verdictsOf(verdicts, now); i < n; i++) {
      if (!verdictHolds(verdicts, i, now)) continue;
      const host = judge.find(hostKeyOf(verdictService(verdicts, i), verdictHost(verdicts, i)));
      if (host !== null) host.wanted = true;
    }
  }

  /** Once a second and when something has changed, as long as somebody listens. */
  report(judge: Judge, now: i64): void {
    const early = now >= this.reportedAt && now - this.reportedAt < PERIOD_MS;
    if (!this.asked || (early && judge.changes === this.reported)) return;
    this.reportedAt = now;
    this.reported = judge.changes;
    let writer = this.writer;
    if (writer === null) {
      writer = new ReportWriter();
      this.writer = writer;
    }
    writer.begin();
    for (let i = 0; i < this.services.length; i++) unchecked((this.numbers[i] = writer.service(this.services[i].name)));
    for (let i = 0; i < judge.hosts.length; i++) {
      const host = judge.hosts[i];
      const listed = host.state === HostState.Out || host.state === HostState.Probe;
      writer.host(this.numberOf(host.service), host.address, host.allRequests, host.allErrors, listed);
    }
    setShared(REPORT, writer.finish(now), OVERWRITE);
  }

  private numberOf(id: u64): i32 {
    for (let i = 0; i < this.services.length; i++) if (this.services[i].id === id) return unchecked(this.numbers[i]);
    return -1;
  }
}
