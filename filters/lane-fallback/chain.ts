/** Ordered chains of lanes, and the list that carries one to the load balancer. */
import { ascii, equal, lenOf, NONE, present, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { add, addPair, begin, finish } from './encode';

/** Label keys of the stages, as the cluster builders name them: the n-th try walks the labels of stage n. */
const KEYS: Slice[] = [
  ascii('lane'),
  ascii('lane2'),
  ascii('lane3'),
  ascii('lane4'),
  ascii('lane5'),
  ascii('lane6'),
  ascii('lane7'),
  ascii('lane8'),
];
const SHARD = ascii('shard');
/** Between the lanes of a chain that a route is to match; no lane's name has it. */
const NEXT: u8 = 0x3e;
/** Before a pinned instance. */
const PIN: u8 = 0x3d;

/** Instead of a number of stages: the chain's name goes to the routes. */
export const BY_ROUTE: i32 = 0;
const INSTANCE = ascii('instance');

/** Who may serve a request, best first. Immutable once built, but for the policy's own scratch chain. */
@final
export class Chain {
  /**
   * All that the load balancer must be told where the chain is a lane and then the baseline, or one strict lane: the
   * route's own list tries this label and then the baseline. A name costs Envoy a third of what decoding a list does.
   * By route: the whole chain's name.
   */
  lane: Slice = NONE;
  /** The encoded list of any other chain, for services without shards; `NONE` for the plain baseline. */
  list: Slice = NONE;
  /** Owns the bytes of `list`, so that a replaced configuration gives them back. */
  private owner: StaticArray<u8> = new StaticArray<u8>(0);

  constructor(
    readonly lanes: StaticArray<u64>,
    /** Nothing outside `lanes` may serve: the request takes the strict route. */
    readonly closed: bool,
    /** Pins to this instance before the lanes; `NONE` for most. */
    readonly instance: Slice = NONE,
  ) {}

  /** Encodes once, for all requests, what the load balancer is told. */
  prepare(stages: i32, baseline: Slice): void {
    if (stages === BY_ROUTE) {
      this.nameWhole();
      return;
    }
    if (this.isPlain(stages, baseline)) {
      this.lane = unchecked(this.lanes[0]);
      return;
    }
    const encoded = encodeChain(this, stages, NONE);
    const length = lenOf(encoded);
    this.owner = new StaticArray<u8>(length);
    const copy = changetype<usize>(this.owner);
    memory.copy(copy, ptrOf(encoded), length);
    this.list = slice(copy, length);
  }

  /** `dev1>base`, `gold`, `=reviews-base-1>base`. */
  private nameWhole(): void {
    const lanes = this.lanes;
    const pinned = present(this.instance);
    let size = pinned ? lenOf(this.instance) + 2 : 0;
    for (let i = 0; i < lanes.length; i++) size += lenOf(unchecked(lanes[i])) + 1;
    this.owner = new StaticArray<u8>(size);
    const start = changetype<usize>(this.owner);
    let at = start;
    if (pinned) {
      store<u8>(at++, PIN);
      at = append(at, this.instance);
    }
    for (let i = 0; i < lanes.length; i++) at = append(at, unchecked(lanes[i]));
    this.lane = slice(start, at - start - 1);
  }

  /** With several stages a strict lane needs its list, so that a second try finds it under the second stage's label. */
  private isPlain(stages: i32, baseline: Slice): bool {
    if (present(this.instance)) return false;
    if (this.closed) return this.lanes.length === 1 && stages === 1;
    return this.lanes.length === 2 && equal(unchecked(this.lanes[1]), baseline);
  }
}

function append(at: usize, name: Slice): usize {
  memory.copy(at, ptrOf(name), lenOf(name));
  store<u8>(at + lenOf(name), NEXT);
  return at + lenOf(name) + 1;
}

/**
 * The list of a chain: for each stage the lanes from its own on, each first with the caller's shard when there is one.
 * Stage 1 has the whole chain; stage n starts at the n-th lane, or has the last one when the chain is shorter. Valid until the next list is encoded.
 */
export function encodeChain(chain: Chain, stages: i32, shard: Slice): Slice {
  const lanes = chain.lanes;
  const count = lanes.length;
  begin();
  if (present(chain.instance)) add(INSTANCE, chain.instance);
  for (let stage = 0; stage < stages; stage++) {
    const key = unchecked(KEYS[stage]);
    const from = min(stage, count - 1);
    for (let i = from; i < count; i++) {
      const lane = unchecked(lanes[i]);
      if (present(shard)) addPair(key, lane, SHARD, shard);
      add(key, lane);
    }
  }
  return finish();
}
