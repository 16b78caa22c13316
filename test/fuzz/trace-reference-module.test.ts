/**
 * trace-propagation as a compiled module against the reference model: random and mutated header sets, inbound and
 * outbound, requests that overlap. CAUSEWAY_SCALE=1 is full size; CAUSEWAY_SEED repeats or varies a run.
 */
import { expect, it } from 'vitest';
import { EmulatedHost, type HttpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scale } from '../support/scale.ts';
import { type ReferenceHolding, ReferenceInFlight } from './reference/in-flight.ts';
import { anyTag, anyValue, Random } from './trace-inputs.ts';
import { FORMATS, ReferenceMap, traceId } from './trace-reference.ts';

const SCALE = scale();
const SEED = Number(process.env.CAUSEWAY_SEED ?? 1);
const ROUNDS = 100_000 / SCALE;
const TAG = 'x-asm-traffic-lane';
const ENTRIES = 1024;
const TTL = 30_000;
const LONGEST_PIN = 20_000;
const MOST_IN_FLIGHT = 1000;

type Headers = [string, string][];

/** One pair of VMs, one run of requests. */
class Comparison {
  readonly #random: Random;
  readonly #sources: { header: string; format: (typeof FORMATS)[number] }[];
  readonly #host: EmulatedHost;
  readonly #inbound: Vm;
  readonly #outbound: Vm;
  readonly #model: ReferenceMap;
  readonly #open: { stream: HttpStream; holding: ReferenceHolding }[] = [];
  readonly inFlight = new ReferenceInFlight(LONGEST_PIN);
  learnt = 0;
  hits = 0;

  constructor(host: EmulatedHost, formats: readonly (typeof FORMATS)[number][], random: Random) {
    this.#random = random;
    this.#host = host;
    this.#sources = formats.map((format) => ({ header: `x-${format}`, format }));
    this.#inbound = this.#vm('inbound');
    this.#outbound = this.#vm('outbound');
    const key = host.sharedData.get('causeway', 'v1/trace/key')?.value ?? '';
    this.#model = new ReferenceMap(key, ENTRIES, TTL);
    host.ticked = (direction) => {
      if (direction === 'inbound') this.inFlight.tick(host.clock.ms);
    };
  }

  #vm(direction: string): Vm {
    const configuration = { direction, sources: this.#sources, entries: ENTRIES, maxPinSeconds: LONGEST_PIN / 1000 };
    return this.#host.vm({ label: direction, vmConfiguration: direction, rootId: 'trace-propagation', configuration });
  }

  /** One more request in one direction; some of those in flight end. */
  step(): void {
    const random = this.#random;
    this.#host.clock.advance(random.pick([0, 1, 20, 100]));
    const headers: Headers = [];
    for (const { header, format } of this.#sources) {
      for (let n = random.pick([0, 0, 0, 1, 1, 2]); n > 0; n--) headers.push([header, anyValue(random, format)]);
    }
    for (let n = random.pick([0, 1, 1, 1, 1, 2]); n > 0; n--) headers.push([TAG, anyTag(random)]);
    if (random.chance(60)) this.#arrive(headers);
    else this.#call(random.chance(10) ? headers : headers.filter(([name]) => name !== TAG));
    while (this.#open.length > random.below(MOST_IN_FLIGHT)) this.#end();
  }

  #arrive(headers: Headers): void {
    const stream = this.#inbound.httpStream({ requestHeaders: headers });
    stream.requestHeaders();
    const now = this.#host.clock.ms;
    const holding: ReferenceHolding = { pins: [] };
    const tag = joined(headers, TAG);
    if (/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/i.test(tag ?? '')) {
      for (const id of this.#ids(headers)) {
        const { bucket, fingerprint } = this.#model.of(id);
        const { pinned, crowded } = bucket.learn(fingerprint, tag ?? '', now);
        if (pinned) holding.pins.push({ bucket, fingerprint });
        if (crowded) this.inFlight.press(now);
        this.learnt++;
      }
    }
    this.inFlight.begin(holding, now);
    this.#open.push({ stream, holding });
  }

  #call(headers: Headers): void {
    const stream = this.#outbound.exchange({ requestHeaders: headers });
    let expected = joined(headers, TAG);
    if (!expected) {
      for (const id of this.#ids(headers)) {
        const { bucket, fingerprint } = this.#model.of(id);
        const { tag } = bucket.lookUp(fingerprint, this.#host.clock.ms);
        if (tag === undefined) continue;
        expected = tag;
        this.hits++;
        break;
      }
    }
    const sent = stream.requestHeaderMap.get(TAG);
    if (sent !== expected) expect.fail(`${JSON.stringify(headers).slice(0, 2000)}: sent ${sent}, expected ${expected}`);
  }

  #end(): void {
    const [request] = this.#open.splice(this.#random.below(this.#open.length), 1);
    if (request === undefined) return;
    request.stream.end();
    this.inFlight.end(request.holding, this.#host.clock.ms);
  }

  #ids(headers: Headers): string[] {
    return this.#sources
      .map(({ header, format }) => traceId(format, first(headers, header)))
      .filter((id) => id !== undefined);
  }
}

/** The tag is read by a property, which joins what a header of several values says. */
function joined(headers: Headers, name: string): string | undefined {
  const values = headers.filter(([other]) => other === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(',');
}

/** Envoy shows a plugin that asks for a header the first header of a name. */
function first(headers: Headers, name: string): string | undefined {
  return headers.find(([other]) => other === name)?.[1];
}

it.each([
  ['plain, traceparent, b3, b3-traceid', FORMATS.slice(0, 4)],
  ['plain, sw8, uber-trace-id', [FORMATS[0], ...FORMATS.slice(4)]],
])('the module does what the model does with ids from %s', async (_name, formats) => {
  const host = await EmulatedHost.load(await compilePlugin('filters/suite.ts'), { record: false });
  const run = new Comparison(host, formats, new Random(SEED + formats.length));
  for (let round = 0; round < ROUNDS / 2; round++) {
    try {
      run.step();
    } catch (error) {
      throw new Error(`seed ${SEED}, round ${round}`, { cause: error });
    }
  }
  expect(run.learnt).toBeGreaterThan(ROUNDS / 10);
  expect(run.hits).toBeGreaterThan(ROUNDS / 40);
  expect(run.inFlight.renewed).toBeGreaterThan(ROUNDS / 40);
  expect(run.inFlight.released).toBeGreaterThan(ROUNDS / 40);
});
