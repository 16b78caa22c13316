import type { AgentConfig } from '../../filters/agent/schema.ts';
import type { SyncRequest, VerdictAnswer } from '../../harness/centre/api.ts';
import { EmulatedHost, type HttpCall, type Vm } from '../emulator/index.ts';
import { pressureAnswer } from './admin-answers.ts';

const HOSTS = 'x-causeway-hosts';

export const address = (n: number): string => `127.0.0.${n}:9080`;

export interface Service {
  readonly name: string;
  readonly hosts: number;
}

/** One caller's Envoy, emulated: outlier-blacklist on a worker, and the agent, whose centre the test plays. */
export class CentreEmulation {
  readonly host: EmulatedHost;
  readonly worker: Vm;
  readonly agent: Vm;
  /** Version of the last answer. */
  version: number;

  constructor(module: Uint8Array<ArrayBuffer>, services: readonly Service[], configuration: AgentConfig = {}) {
    this.host = new EmulatedHost(module, { record: false });
    this.worker = this.host.vm({
      vmConfiguration: 'outbound',
      rootId: 'outlier-blacklist',
      configuration: {
        services: services.map(({ name, hosts }) => ({
          name,
          authorities: [name],
          hosts: Array.from({ length: hosts }, (_, n) => ({ address: address(n + 1) })),
        })),
      },
    });
    this.agent = this.host.vm({
      vmConfiguration: 'agent',
      rootId: 'agent',
      configuration: { centre: {}, ...configuration },
    });
    if (!this.worker.configured || !this.agent.configured) throw new Error(this.host.messages().join('\n'));
    this.version = this.host.clock.ms;
    // The worker takes its slot with its first request.
    this.send(services[0]?.name ?? '', 1);
  }

  /** A request, answered by host `n`; what it was given to choose from. */
  send(service: string, n: number, status = '200'): string[] | undefined {
    const stream = this.worker.httpStream({ requestHeaders: [[':authority', service]] });
    stream.requestHeaders();
    const given = stream.requestHeaderMap.get(HOSTS)?.split(',');
    stream.setProperties({
      'upstream.address': address(n),
      'response.flags': 0,
      'xds.upstream_host_metadata': { filter_metadata: { causeway: { lane: 'base' } } },
    });
    stream.responseHeaders([[':status', status]]);
    stream.end();
    return given;
  }

  /** Hosts that a request may get, of `all`; all of them when the load balancer is left to choose. */
  allowed(service: string, all: number): number[] {
    const hosts = Array.from({ length: all }, (_, n) => n + 1);
    const given = Array.from({ length: all }, () => this.send(service, 1));
    if (given.some((one) => one === undefined)) return hosts;
    return hosts.filter((n) => given.some((one) => one?.includes(address(n))));
  }

  /** Reports that wait for their answer. */
  get syncs(): HttpCall[] {
    return this.agent.root.httpCalls.filter((call) => call.pending && call.cluster === 'causeway.centre');
  }

  /** So many seconds pass, in which the admin answers and the centre does as it is told. */
  pass(seconds: number, centre: (call: HttpCall) => void = () => undefined): void {
    for (let i = 0; i < seconds * 4; i++) {
      this.host.clock.advance(250);
      for (const call of this.agent.root.httpCalls) {
        if (!call.pending) continue;
        if (call.cluster === 'causeway.centre') centre(call);
        else call.respond({ headers: [[':status', '200']], body: pressureAnswer(10) });
      }
      if (this.agent.root.httpCalls.length > 100) this.agent.root.httpCalls.splice(0, 50);
    }
  }

  /** Waits for the next report and answers it; the report. */
  sync(answer: string | readonly Partial<VerdictAnswer>[] = [], status = '200'): SyncRequest {
    let report: SyncRequest | undefined;
    for (let i = 0; i < 120 && report === undefined; i++) {
      this.pass(0.25, (call) => {
        report = JSON.parse(call.body) as SyncRequest;
        const body = typeof answer === 'string' ? answer : this.answer(answer);
        call.respond({ headers: [[':status', status]], body });
      });
    }
    if (report === undefined) throw new Error('no report in 30 s');
    // The judging worker looks once in 250 ms.
    this.host.clock.advance(500);
    return report;
  }

  /** An answer as the centre gives it, with the next version. */
  answer(verdicts: readonly Partial<VerdictAnswer>[], rest: object = {}): string {
    this.version++;
    return JSON.stringify({
      version: this.version,
      verdicts: verdicts.map((one) => ({ ...this.quarantine(1), ...one })),
      refused: 0,
      nextMs: 2_000,
      ...rest,
    });
  }

  quarantine(n: number, service = 'reviews'): VerdictAnswer {
    return {
      service,
      host: address(n),
      verdict: 'quarantine',
      version: this.version,
      expiresInMs: 30_000,
      reason: '2 of 3 callers keep away from it',
    };
  }

  metric(name: string): number {
    // Counters are handed over on the tick.
    this.host.clock.advance(1_000);
    return this.host.metrics.nonZero()[`causeway_${name}`] ?? 0;
  }
}
