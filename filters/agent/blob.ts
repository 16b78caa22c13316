/**
 * What the agent knows, for the filters of one VM. Filters say at configure time which clusters' hosts they want, call
 * `refreshAgent` on their tick, and then read; between two ticks nothing changes and nothing is asked of the host.
 *
 * Without the agent, or when what it published is older than three of its periods, pressure is unknown and no cluster is
 * listed: everything that reads here must work then too.
 */
import {
  ascii,
  callbackSequence,
  Gauge,
  gauge,
  getShared,
  lenOf,
  OVERWRITE,
  persist,
  ptrOf,
  Slice,
  setShared,
  slice,
  sub,
  text,
  vmConfiguration,
} from 'proxy-wasm-assemblyscript-sdk';
import {
  CLUSTER_HEADER,
  findCluster,
  HOST_HEADER,
  HOSTS_KEY,
  isBlob,
  LAYOUT,
  MAX_CLUSTERS,
  MAX_NAME,
  PERIODS,
  padded,
  STATE_KEY,
  STATE_SIZE,
  UNKNOWN_PRESSURE,
  usable,
  WANTED_KEY,
} from './layout';

const MILLISECOND: u64 = 1_000_000;
/** How often a role says again what it wants; the agent forgets what it has not heard for three times as long. */
export const WANTED_PERIOD: u64 = 10_000 * MILLISECOND;

const STATE = ascii(STATE_KEY);
const HOSTS = ascii(HOSTS_KEY);
const WANTED_HEADER: i32 = 8;

/** Names that the configuration being read wants, and those of the one in force. */
let asked: Slice[] = [];
let wantedKey: Slice = 0;
let wanted: Slice = 0;
let wantedAt: u64 = 0;

let refreshedIn: u32 = 0;
let ageGauge: Gauge | null = null;
let alive: bool = false;
let pressure: i32 = UNKNOWN_PRESSURE;
let hostsPeriod: u64 = 0;
let version: u32 = 0;
let time: u64 = 0;
/** This VM's copy of the host lists. */
let copy: usize = 0;
let copyCapacity: i32 = 0;
let lists: Slice = 0;

/** A configuration begins: it wants nothing yet. */
export function beginWanted(): void {
  asked = [];
}

/** A filter that is being configured wants the hosts of the cluster `name`; past `MAX_CLUSTERS` it is not listed. */
export function wantHosts(name: Slice): void {
  if (asked.length >= MAX_CLUSTERS || lenOf(name) === 0 || lenOf(name) > MAX_NAME) return;
  for (let i = 0; i < asked.length; i++) {
    if (equalNames(asked[i], name)) return;
  }
  asked.push(persist(name));
}

/** The configuration is accepted: what it wants is said from now on. */
export function commitWanted(): void {
  let size = WANTED_HEADER;
  for (let i = 0; i < asked.length; i++) size += lenOf(asked[i]) + 1;
  const before = wanted;
  const start = heap.alloc(size);
  let at = start + WANTED_HEADER;
  for (let i = 0; i < asked.length; i++) {
    const name = asked[i];
    memory.copy(at, ptrOf(name), lenOf(name));
    at += lenOf(name);
    store<u8>(at++, 0x0a);
    heap.free(ptrOf(name));
  }
  wanted = asked.length === 0 ? 0 : slice(start, size);
  if (wanted === 0) heap.free(start);
  if (before !== 0) heap.free(ptrOf(before));
  asked = [];
  wantedAt = 0;
  wantedKey = ascii(WANTED_KEY + text(vmConfiguration()));
}

function equalNames(a: Slice, b: Slice): bool {
  return lenOf(a) === lenOf(b) && memory.compare(ptrOf(a), ptrOf(b), lenOf(a)) === 0;
}

/** Reads what is new. To be called on the tick by each filter that reads; only the first call of a tick does anything. */
export function refreshAgent(now: u64): void {
  if (refreshedIn === callbackSequence()) return;
  refreshedIn = callbackSequence();
  sayWanted(now);
  const state = getShared(STATE);
  time = now;
  alive = false;
  pressure = UNKNOWN_PRESSURE;
  if (lenOf(state) !== STATE_SIZE || load<u32>(ptrOf(state)) !== LAYOUT) return;
  const at = ptrOf(state);
  const published = load<u64>(at, 8);
  showAge(now > published ? (now - published) / MILLISECOND : 0);
  alive = fresh(published, load<u32>(at, 16) as u64);
  if (!alive) return;
  pressure = load<i32>(at, 20);
  hostsPeriod = load<u32>(at, 24) as u64;
  const latest = load<u32>(at, 4);
  if (wanted !== 0 && latest !== version) readLists(latest);
}

function sayWanted(now: u64): void {
  if (wanted === 0 || (wantedAt <= now && now - wantedAt < WANTED_PERIOD)) return;
  wantedAt = now;
  store<u64>(ptrOf(wanted), now);
  setShared(wantedKey, wanted, OVERWRITE);
}

/** A time that lies ahead is the clock's fault, and fresh for no longer than one that lies behind. */
function fresh(published: u64, periodMs: u64): bool {
  const apart = time > published ? time - published : published - time;
  return apart <= PERIODS * periodMs * MILLISECOND;
}

function showAge(milliseconds: u64): void {
  let age = ageGauge;
  if (age === null) {
    age = gauge('causeway_agent_age_milliseconds');
    ageGauge = age;
  }
  age.set(milliseconds);
}

function readLists(latest: u32): void {
  const blob = getShared(HOSTS);
  if (!isBlob(blob)) return;
  const size = lenOf(blob);
  if (size > copyCapacity) {
    if (copy !== 0) heap.free(copy);
    copyCapacity = size + size / 4;
    copy = heap.alloc(copyCapacity);
  }
  memory.copy(copy, ptrOf(blob), size);
  lists = slice(copy, size);
  version = latest;
}

/** Whether the agent has published within three of its periods. */
export function agentAlive(): bool {
  return alive;
}

/** CPU pressure of this proxy's machine or cgroup, 0–1000; `UNKNOWN_PRESSURE` (-1) without an agent or a monitor. */
export function cpuPressure(): i32 {
  return pressure;
}

/** Another number means that lists have been read anew. */
export function hostsVersion(): u32 {
  return version;
}

/**
 * Walks the hosts of one cluster. Addresses point into the VM's copy of the lists: they are good until the next
 * `refreshAgent`.
 *
 *     if (list.open(name)) while (list.next()) …
 */
@final
export class HostList {
  private at: usize = 0;
  private end: usize = 0;
  private host: usize = 0;
  /** Hosts of the cluster, as the list says. */
  count: i32 = 0;

  /** False when the cluster is not listed: no agent, an old list, too many hosts, no such cluster. */
  open(cluster: Slice): bool {
    this.count = 0;
    this.at = 0;
    this.end = 0;
    if (!alive || lists === 0) return false;
    const found = findCluster(lists, cluster);
    if (lenOf(found) === 0 || !fresh(load<u64>(ptrOf(found)), hostsPeriod)) return false;
    this.count = load<u32>(ptrOf(found), 12) as i32;
    this.at = ptrOf(found) + CLUSTER_HEADER + padded(lenOf(cluster));
    this.end = ptrOf(found) + lenOf(found);
    return true;
  }

  /** Moves to the next host; false after the last. */
  next(): bool {
    const at = this.at;
    if (this.end < at + HOST_HEADER) return false;
    const size = HOST_HEADER + padded(load<u16>(at, 36) as i32);
    if (this.end < at + size) return false;
    this.host = at;
    this.at = at + size;
    return true;
  }

  /** `1.2.3.4:80` or `[::1]:80`, as in the property `upstream.address`; or the path of a Unix socket. */
  get address(): Slice {
    return slice(this.host + HOST_HEADER, load<u16>(this.host, 36));
  }

  /** `hash64` of the address. */
  get hash(): u64 {
    return load<u64>(this.host);
  }

  /** Bits of `Health`. */
  get health(): u8 {
    return load<u8>(this.host, 38);
  }

  get usable(): bool {
    return usable(this.health);
  }

  get priority(): u8 {
    return load<u8>(this.host, 39);
  }

  get weight(): u32 {
    return load<u32>(this.host, 32);
  }

  /** Since Envoy knows the host. */
  get requests(): u64 {
    return load<u64>(this.host, 8);
  }

  get errors(): u32 {
    return load<u32>(this.host, 16);
  }

  get timeouts(): u32 {
    return load<u32>(this.host, 20);
  }

  get connectFailures(): u32 {
    return load<u32>(this.host, 24);
  }

  /** Requests in flight when the list was read. */
  get active(): u32 {
    return load<u32>(this.host, 28);
  }
}

/** Name number `index` of what a role wants, or a slice of length 0. For the agent. */
export function wantedName(value: Slice, index: i32): Slice {
  const end = lenOf(value);
  let from = WANTED_HEADER;
  let number = 0;
  for (let i = WANTED_HEADER; i < end; i++) {
    if (load<u8>(ptrOf(value) + i) !== 0x0a) continue;
    if (number === index) return sub(value, from, i);
    number++;
    from = i + 1;
  }
  return 0;
}

/** Whether what a role wants was said lately. For the agent. */
export function wantedLately(value: Slice, now: u64): bool {
  if (lenOf(value) <= WANTED_HEADER) return false;
  const said = load<u64>(ptrOf(value));
  return said > now || now - said <= PERIODS * WANTED_PERIOD;
}
