/**
 * Hosts that the healing centre wants out. They are held out as far as a bound of their own allows, in which what our own
 * judgement has listed counts first: a centre that lies can neither empty a service nor keep us from leaving a bad host.
 */
import { Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { HostState, Judged } from './judged';

/** Most of a service's hosts, in percent, that the centre's word adds to; one at least. */
const CENTRE_PERCENT: i32 = 30;

/** The hosts of one lane of one service. */
@final
export class Group {
  readonly hosts: Judged[] = [];
  /** Hosts that are out by the centre's word alone. */
  held: i32 = 0;
  constructor(
    readonly service: u64,
    readonly lane: Slice,
  ) {}

  /** Hosts that do not have their whole share by our own judgement. */
  out(): i32 {
    let count = 0;
    for (let i = 0; i < this.hosts.length; i++) if (this.hosts[i].state !== HostState.Good) count++;
    return count;
  }
}

@final
export class Holding {
  /** Hosts that the centre wants out and that stay, since too many are out already. */
  barred: i32 = 0;

  /** After our own judgement. True when something has changed. */
  hold(groups: Group[], now: i64): bool {
    let changed = false;
    this.barred = 0;
    for (let i = 0; i < groups.length; i++) groups[i].held = 0;
    // Those that are held already go first, so that a longer list moves nothing about.
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < groups.length; i++) {
        const group = groups[i];
        for (let j = 0; j < group.hosts.length; j++) {
          const host = group.hosts[j];
          if (host.held !== (pass === 0)) continue;
          const may = host.wanted && (host.state !== HostState.Good || mayHold(groups, group));
          if (may && host.state === HostState.Good) group.held++;
          if (pass === 1 && host.wanted && !may) this.barred++;
          if (may === host.held) continue;
          host.held = may;
          if (may) host.heldAt = now;
          changed = true;
        }
      }
    }
    return changed;
  }
}

/** Whether one more host of a group may be held: within the bound of its service, and never the last one of its lane. */
function mayHold(groups: Group[], group: Group): bool {
  let all = 0;
  let out = 1;
  for (let i = 0; i < groups.length; i++) {
    const other = groups[i];
    if (other.service !== group.service) continue;
    all += other.hosts.length;
    out += other.out() + other.held;
  }
  return out <= max(1, (all * CENTRE_PERCENT) / 100) && group.out() + group.held + 1 < group.hosts.length;
}
