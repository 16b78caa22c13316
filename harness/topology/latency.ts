/** Up to here each millisecond has a bin of its own. */
const EXACT = 32;
/** Above, each doubling has so many, hence an error of at most 1/16. */
const PER_DOUBLING = 16;
const DOUBLINGS = 13;
const BINS = EXACT + DOUBLINGS * PER_DOUBLING;

/** Counts of whole milliseconds, 0 to about four minutes; longer ones count as that. */
export class Latencies {
  count = 0;
  private readonly bins = new Uint32Array(BINS);

  add(milliseconds: number): void {
    const bin = binOf(milliseconds);
    this.bins[bin] = (this.bins[bin] ?? 0) + 1;
    this.count += 1;
  }

  merge(other: Latencies): void {
    for (let bin = 0; bin < BINS; bin++) this.bins[bin] = (this.bins[bin] ?? 0) + (other.bins[bin] ?? 0);
    this.count += other.count;
  }

  /** The smallest time that this share (0–1) of the calls did not exceed; null without calls. */
  quantile(share: number): number | null {
    if (this.count === 0) return null;
    const rank = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (let bin = 0; bin < BINS; bin++) {
      seen += this.bins[bin] ?? 0;
      if (seen >= rank) return topOf(bin);
    }
    return topOf(BINS - 1);
  }
}

function binOf(milliseconds: number): number {
  const whole = Math.max(0, Math.round(Number.isFinite(milliseconds) ? milliseconds : 0));
  if (whole < EXACT) return whole;
  const doubling = Math.floor(Math.log2(whole / EXACT));
  const base = EXACT * 2 ** doubling;
  const part = Math.floor(((whole - base) / base) * PER_DOUBLING);
  return Math.min(BINS - 1, EXACT + doubling * PER_DOUBLING + part);
}

/** Largest time that falls into a bin. */
function topOf(bin: number): number {
  if (bin < EXACT) return bin;
  const doubling = Math.floor((bin - EXACT) / PER_DOUBLING);
  const part = (bin - EXACT) % PER_DOUBLING;
  return Math.ceil(EXACT * 2 ** doubling * (1 + (part + 1) / PER_DOUBLING)) - 1;
}
