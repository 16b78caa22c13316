/** What counters of one Envoy have risen by between two looks. One that falls has begun anew with its Envoy. */
export class Counters {
  private readonly last = new Map<string, number>();
  private seen = false;

  /** True until the first look: what counters say then is older than the looking. */
  get fresh(): boolean {
    return !this.seen;
  }

  rise(values: ReadonlyMap<string, number>): Map<string, number> {
    const risen = new Map<string, number>();
    for (const [name, value] of values) {
      const before = this.last.get(name) ?? 0;
      const added = value >= before ? value - before : value;
      if (added > 0) risen.set(name, added);
      this.last.set(name, value);
    }
    this.seen = true;
    return risen;
  }
}

/**
 * Splits a count by weights into whole parts that add up to it, largest remainders first; all of it goes to `fallback`
 * where there are no weights.
 */
export function split(count: number, weights: ReadonlyMap<string, number>, fallback: string): Map<string, number> {
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total <= 0) return new Map([[fallback, count]]);
  const parts = [...weights].map(([name, weight]) => {
    const exact = (count * weight) / total;
    return { name, whole: Math.floor(exact), rest: exact - Math.floor(exact) };
  });
  let left = count - parts.reduce((sum, { whole }) => sum + whole, 0);
  for (const part of [...parts].sort((a, b) => b.rest - a.rest)) {
    if (left <= 0) break;
    part.whole += 1;
    left -= 1;
  }
  return new Map(parts.filter(({ whole }) => whole > 0).map(({ name, whole }) => [name, whole]));
}
