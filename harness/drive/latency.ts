export interface LatencySummary {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** Every latency of a drive, kept exactly: 8 bytes each, sorted only when asked. */
export class Latencies {
  private values = new Float64Array(1_024);
  private size = 0;

  add(ms: number): void {
    if (this.size === this.values.length) {
      const larger = new Float64Array(this.size * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.size++] = ms;
  }

  /** Nearest-rank percentiles in milliseconds with two decimals; all 0 when nothing was added. */
  summary(): LatencySummary {
    const sorted = this.values.slice(0, this.size).sort();
    const at = (share: number) => {
      const value = sorted[Math.max(0, Math.ceil(share * this.size) - 1)] ?? 0;
      return Math.round(value * 100) / 100;
    };
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
  }
}
