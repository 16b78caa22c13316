/** Random and mutated header values for trace-propagation, repeatable by their seed. */

/** xorshift128+ would be more than this needs: a 32-bit xorshift, good enough to wander. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 1;
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }

  /** Any bytes that may stand in a header: no control characters but the tab. */
  bytes(length: number): string {
    let text = '';
    while (text.length < length) {
      const byte = this.below(256);
      if (byte === 9 || (byte >= 32 && byte !== 127)) text += String.fromCharCode(byte);
    }
    return text;
  }

  hex(length: number): string {
    let text = '';
    while (text.length < length) text += this.below(16).toString(16);
    return this.chance(10) ? text.toUpperCase() : text;
  }
}

/** A well-formed value, more often than not of an id from a small set, so that look-ups hit. */
export function goodValue(random: Random, format: string): string {
  const few = (random.below(40) + 0x10abcdef).toString(16).padStart(32, random.chance(50) ? '0' : 'a');
  const id = random.chance(70) ? few : random.hex(32);
  const span = random.hex(16);
  switch (format) {
    case 'traceparent':
      return `${random.pick(['00', '00', '00', 'cc', 'ff'])}-${id}-${span}-0${random.below(2)}`;
    case 'b3':
      return `${random.chance(50) ? id : id.slice(16)}-${span}${random.pick(['', '-1', '-d', `-0-${span}`])}`;
    case 'b3-traceid':
      return random.chance(50) ? id : id.slice(16);
    case 'sw8': {
      const text = random.chance(90) ? id : random.bytes(random.below(300));
      const encoded = Buffer.from(text, 'latin1').toString('base64');
      return `${random.below(2)}-${random.chance(80) ? encoded : encoded.replace(/=+$/, '')}-c2Vn-3-c3Zj-aW5z-L2E=-aG9zdA==`;
    }
    case 'uber-trace-id':
      return [id.replace(/^0+(?=.)/, ''), span, '0', '1'].join(random.pick([':', '%3A', '%3a']));
    default: {
      if (random.chance(40)) return `plain ${random.below(40)}`;
      const digits = `${id}`.slice(-32);
      return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        random.pick(['4', '9', 'a', 'b']) + digits.slice(13, 16),
        digits.slice(16, 20),
        digits.slice(20),
      ].join('-');
    }
  }
}

/** `text` with a few bytes changed, removed, doubled or put in. */
export function mutated(random: Random, text: string): string {
  let result = text;
  for (let i = 0; i <= random.below(3); i++) {
    const at = random.below(result.length + 1);
    const rest = result.slice(at + 1);
    switch (random.below(5)) {
      case 0:
        result = result.slice(0, at) + random.bytes(1) + rest;
        break;
      case 1:
        result = result.slice(0, at) + rest;
        break;
      case 2:
        result = result.slice(0, at) + random.pick(['-', ':', '%3A', ',', '=', '0', ' ', ';']) + result.slice(at);
        break;
      case 3:
        result = result.slice(0, at);
        break;
      default:
        result = `${result}${random.chance(50) ? ', ' : ''}${result}`.slice(0, 60_000);
    }
  }
  return result;
}

/** Mostly good values, some mutated, some noise, a few very long. */
export function anyValue(random: Random, format: string): string {
  const kind = random.below(100);
  if (kind < 60) return goodValue(random, format);
  if (kind < 90) return mutated(random, goodValue(random, format));
  if (kind < 99) return random.bytes(random.below(200));
  return random.bytes(1) + random.pick(['x', '0', ',', 'aB']).repeat(random.below(30_000));
}

export function anyTag(random: Random): string {
  const tag = random.pick(['dev1', 'dev2', 'canary', 'x', 'd'.repeat(63), 'A.b_c-9']);
  return random.chance(85) ? tag : mutated(random, tag);
}

export function anyBaggage(random: Random, key: string): string {
  const count = random.chance(3) ? random.below(400) : random.below(6);
  const members = Array.from({ length: count }, (_, i) => {
    if (random.chance(30)) return `${key}=${anyTag(random)}${random.pick(['', ';p', ' ; p=1', '%41'])}`;
    return `${random.pick([`k${i}`, ` k ${i}`, '', key.toUpperCase()])}=${random.bytes(random.below(20))}`;
  });
  const baggage = members.join(random.pick([',', ' , ', ',,']));
  return random.chance(80) ? baggage : mutated(random, baggage);
}
