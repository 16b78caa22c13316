/** The hosts of a lane from which this proxy chooses itself, instead of the load balancer. */
import { lenOf, mix64, NONE, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { addressOf, HOST, MAX_ADDRESS } from './row';

/** Hosts that a request is given: one for each try. */
const TRIES: i32 = 4;

const text: usize = heap.alloc(TRIES * (MAX_ADDRESS + 1));
let random: u64 = 0x9e3779b97f4a7c15;

/** A number from 0 to 99. */
function percent(): i32 {
  random = mix64(random + 0x9e3779b97f4a7c15);
  return (random % 100) as i32;
}

@final
export class Pool {
  private readonly hosts: u64[] = [];
  private readonly shares: i32[] = [];
  /** `MAX_ADDRESS` bytes and their number for each host. */
  private readonly bytes: StaticArray<u8>;
  private count: i32 = 0;
  private turn: i32 = 0;

  constructor(private readonly capacity: i32) {
    this.bytes = new StaticArray<u8>(capacity * (MAX_ADDRESS + 1));
  }

  /** `share` in percent of what a host usually gets. One past the capacity is dropped. */
  add(row: usize, share: i32): void {
    if (this.count >= this.capacity) return;
    const address = addressOf(row);
    const at = changetype<usize>(this.bytes) + this.count * (MAX_ADDRESS + 1);
    store<u8>(at, lenOf(address) as u8);
    memory.copy(at + 1, ptrOf(address), lenOf(address));
    this.hosts.push(load<u64>(row, HOST));
    this.shares.push(share);
    this.count++;
  }

  /** Addresses in turn, for the tries of one request; `NONE` when no host may get any. Valid until the next call. */
  inTurn(): Slice {
    const count = this.count;
    if (count === 0) return NONE;
    this.turn = (this.turn + 1) % count;
    let length = 0;
    let given = 0;
    for (let i = 0; i < count && given < TRIES; i++) {
      const at = (this.turn + i) % count;
      const share = unchecked(this.shares[at]);
      // A host on its way back gets its own share of first tries, never another host's second one.
      if (share < 100 && (i > 0 || percent() >= share)) continue;
      length = this.append(at, length);
      given++;
    }
    return given === 0 ? NONE : slice(text, length);
  }

  /**
   * Addresses by how high they draw with `key` (rendezvous): a host that is out gives its own keys away and nothing else
   * moves. A host on its way back takes the share of its keys that draws lowest.
   */
  byKey(key: u64): Slice {
    let length = 0;
    let given = 0;
    let last = u64.MAX_VALUE;
    for (let i = 0, n = this.count; i < n && given < TRIES; i++) {
      let best = -1;
      let highest: u64 = 0;
      for (let at = 0; at < n; at++) {
        const draw = mix64(key ^ unchecked(this.hosts[at]));
        if (draw >= last || draw < highest) continue;
        highest = draw;
        best = at;
      }
      if (best < 0) break;
      last = highest;
      if (mix64(highest) % 100 >= (unchecked(this.shares[best]) as u64)) continue;
      length = this.append(best, length);
      given++;
    }
    return given === 0 ? NONE : slice(text, length);
  }

  private append(at: i32, length: i32): i32 {
    let end = length;
    if (end > 0) store<u8>(text + end++, 0x2c);
    const from = changetype<usize>(this.bytes) + at * (MAX_ADDRESS + 1);
    const size = load<u8>(from) as i32;
    memory.copy(text + end, from + 1, size);
    return end + size;
  }
}
