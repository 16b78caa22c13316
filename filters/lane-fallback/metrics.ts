import { Counter, counter } from 'proxy-wasm-assemblyscript-sdk';
import { UNKNOWN } from './name-table';

const PREFIX = 'causeway_lane_fallback_';

/** Edges that get a counter of their own; Envoy keeps every metric for good, so the rest is counted together. */
export const MAX_EDGES: i32 = 4096;
/** No host answered. */
export const NOBODY: i32 = -2;

const OTHER = 'other';

/** What the filter counts; README.md explains each. Labels come from the configuration alone. */
@final
export class FallbackMetrics {
  private readonly badTag: Counter = total('invalid_tag');
  private readonly loops: Counter = total('redirect_loop');
  private readonly steered: Counter[] = [];
  private readonly redirected: Counter[] = [];
  private readonly laterTry: Counter[] = [];
  private readonly edges: Map<u64, Counter> = new Map<u64, Counter>();
  private readonly otherEdge: Counter = edge(OTHER, OTHER, OTHER);

  constructor(
    private readonly lanes: string[],
    private readonly services: string[],
    rules: string[],
    redirects: string[],
  ) {
    for (let i = 0; i < rules.length; i++) this.steered.push(total('steered', '.rule.' + rules[i]));
    for (let i = 0; i < redirects.length; i++) this.redirected.push(total('redirected', '.rule.' + redirects[i]));
    for (let i = 0; i < services.length; i++) this.laterTry.push(total('later_try', '.service.' + services[i]));
    this.laterTry.push(total('later_try', '.service.' + OTHER));
  }

  countBadTag(): void {
    this.badTag.add();
  }

  countLoop(): void {
    this.loops.add();
  }

  countSteered(rule: i32): void {
    unchecked(this.steered[rule]).add();
  }

  countRedirected(rule: i32): void {
    unchecked(this.redirected[rule]).add();
  }

  /** The answer came from a try that a failed one had gone before, outside the wanted lane's first cluster. */
  countLaterTry(service: i32): void {
    unchecked(this.laterTry[service === UNKNOWN ? this.services.length : service]).add();
  }

  /** Service and lanes by number; `UNKNOWN` = not in the configuration, `NOBODY` (served) = no host answered. */
  countEdge(service: i32, wanted: i32, served: i32): void {
    const key = ((service & 0xffff) as u64) | (((wanted & 0xffff) as u64) << 16) | (((served & 0xffff) as u64) << 32);
    const edges = this.edges;
    if (edges.has(key)) {
      edges.get(key).add();
      return;
    }
    if (edges.size >= MAX_EDGES) {
      this.otherEdge.add();
      return;
    }
    const made = edge(this.service(service), this.lane(wanted), this.lane(served));
    edges.set(key, made);
    made.add();
  }

  private service(number: i32): string {
    return number === UNKNOWN ? OTHER : this.services[number];
  }

  private lane(number: i32): string {
    if (number === NOBODY) return 'none';
    return number === UNKNOWN ? OTHER : this.lanes[number];
  }
}

function edge(service: string, wanted: string, served: string): Counter {
  return total('requests', `.service.${service}.wanted.${wanted}.served.${served}`);
}

function total(event: string, labels: string = ''): Counter {
  return counter(PREFIX + event + '_total' + labels);
}
