/** Counters and gauges in Prometheus' text format. Label values come from fixed words, never from a request. */
export class Metrics {
  readonly #values = new Map<string, number>();

  count(name: string, labels: Readonly<Record<string, string>> = {}, by = 1): void {
    const key = series(name, labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  set(name: string, value: number): void {
    this.#values.set(series(name, {}), value);
  }

  get(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#values.get(series(name, labels)) ?? 0;
  }

  text(): string {
    const lines: string[] = [];
    const typed = new Set<string>();
    for (const [key, value] of [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = key.replace(/\{.*/, '');
      if (!typed.has(name)) lines.push(`# TYPE ${name} ${name.endsWith('_total') ? 'counter' : 'gauge'}`);
      typed.add(name);
      lines.push(`${key} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

function series(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return `causeway_centre_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`}`;
}
