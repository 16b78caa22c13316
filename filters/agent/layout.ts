/**
 * What the agent publishes in shared data, and how its bytes lie there. Little endian; the keys carry the layout's version.
 *
 *   v1/agent/state    32 bytes, rewritten with every answer of the admin about pressure: small enough to read on each tick
 *     u32 layout | u32 version of the host lists | u64 time (ns) | u32 period (ms) | i32 CPU pressure (per mille, -1 = not
 *     known) | u32 period of the host lists (ms) | u32 hosts listed
 *   v1/agent/hosts    the host lists, rewritten when one of them has been read; `version` as in the state
 *     u32 layout | u32 version | u32 clusters | u32 bytes in all, then for each cluster, everything padded to 8 bytes:
 *       u64 time (ns) | u32 bytes of this cluster | u32 hosts | u32 bytes of its name | u32 0 | name | hosts
 *       host: u64 hash64 of the address | u64 requests | u32 errors | u32 timeouts | u32 failed connections |
 *             u32 active requests | u32 weight | u16 bytes of the address | u8 health | u8 priority | address
 *   v1/agent/wanted/<role>   which clusters the filters of a role want: u64 time (ns), then names separated by line feeds
 *
 * One writer a key: the agent the first two, the role's VMs (all with the same value) the third.
 */
import { hash64, lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

export const STATE_KEY: string = 'v1/agent/state';
export const HOSTS_KEY: string = 'v1/agent/hosts';
export const WANTED_KEY: string = 'v1/agent/wanted/';

export const LAYOUT: u32 = 1;
export const STATE_SIZE: i32 = 32;
export const BLOB_HEADER: i32 = 16;
export const CLUSTER_HEADER: i32 = 24;
export const HOST_HEADER: i32 = 40;
/** `CPU pressure` where nothing tells it. */
export const UNKNOWN_PRESSURE: i32 = -1;
/** Whatever is older than this many of its periods counts as not there. */
export const PERIODS: u64 = 3;

/** Most hosts in the lists of one proxy; a cluster that would go past it is not listed at all. */
export const MAX_HOSTS: i32 = 10_000;
/** Clusters that the filters of one role may want, and that the agent lists in all. */
export const MAX_CLUSTERS: i32 = 64;
/** Longest name of a cluster, in bytes. */
export const MAX_NAME: i32 = 255;
/** Longest address: a Unix socket's path has at most 107 bytes. */
export const MAX_ADDRESS: i32 = 128;
/** Most bytes of all lists; 10,000 hosts with IPv4 addresses need 640 kB. */
export const MAX_BLOB: i32 = 2 << 20;

/** Bits of a host's health, as the admin words them. */
export enum Health {
  FailedActiveCheck = 1,
  FailedOutlierCheck = 2,
  Degraded = 4,
  PendingRemoval = 8,
  PendingFirstCheck = 16,
  ExcludedAtOnce = 32,
  CheckTimedOut = 64,
  /** UNHEALTHY, DRAINING or TIMEOUT by its endpoint discovery. */
  DiscoveredUnhealthy = 128,
}

/** Envoy sends it requests as long as its cluster is not in panic. */
export function usable(health: u8): bool {
  const bad =
    Health.FailedActiveCheck |
    Health.FailedOutlierCheck |
    Health.PendingRemoval |
    Health.PendingFirstCheck |
    Health.ExcludedAtOnce |
    Health.DiscoveredUnhealthy;
  return ((health as i32) & bad) === 0;
}

export function padded(size: i32): i32 {
  return (size + 7) & ~7;
}

/** One host as the admin describes it. */
@final
export class HostFacts {
  requests: u64 = 0;
  errors: u32 = 0;
  timeouts: u32 = 0;
  connectFailures: u32 = 0;
  active: u32 = 0;
  weight: u32 = 0;
  health: u8 = 0;
  priority: u8 = 0;

  clear(): void {
    this.requests = 0;
    this.errors = 0;
    this.timeouts = 0;
    this.connectFailures = 0;
    this.active = 0;
    this.weight = 0;
    this.health = 0;
    this.priority = 0;
  }
}

/** Writes host lists into memory of its own, which grows to `MAX_BLOB` at most. */
@final
export class BlobWriter {
  private start: usize = heap.alloc(INITIAL);
  private capacity: i32 = INITIAL;
  private size: i32 = 0;
  private cluster: i32 = 0;
  clusters: u32 = 0;
  /** Hosts of all clusters. */
  hosts: i32 = 0;
  private hostsBefore: i32 = 0;

  begin(): void {
    this.size = BLOB_HEADER;
    this.clusters = 0;
    this.hosts = 0;
  }

  /** Begins a cluster's list; false when there is no room. */
  beginCluster(name: Slice, time: u64): bool {
    const length = lenOf(name);
    this.cluster = this.size;
    this.hostsBefore = this.hosts;
    if (!this.reserve(CLUSTER_HEADER + padded(length))) return false;
    const at = this.start + this.size;
    store<u64>(at, time);
    store<u32>(at, length, 16);
    store<u32>(at, 0, 20);
    put(at + CLUSTER_HEADER, name);
    this.size += CLUSTER_HEADER + padded(length);
    return true;
  }

  /** False when there are too many hosts, or too many bytes. */
  host(address: Slice, facts: HostFacts): bool {
    const length = lenOf(address);
    if (this.hosts >= MAX_HOSTS || !this.reserve(HOST_HEADER + padded(length))) return false;
    const at = this.start + this.size;
    store<u64>(at, hash64(address));
    store<u64>(at, facts.requests, 8);
    store<u32>(at, facts.errors, 16);
    store<u32>(at, facts.timeouts, 20);
    store<u32>(at, facts.connectFailures, 24);
    store<u32>(at, facts.active, 28);
    store<u32>(at, facts.weight, 32);
    store<u16>(at, length as u16, 36);
    store<u8>(at, facts.health, 38);
    store<u8>(at, facts.priority, 39);
    put(at + HOST_HEADER, address);
    this.size += HOST_HEADER + padded(length);
    this.hosts++;
    return true;
  }

  endCluster(): void {
    const at = this.start + this.cluster;
    store<u32>(at, this.size - this.cluster, 8);
    store<u32>(at, this.hosts - this.hostsBefore, 12);
    this.clusters++;
  }

  /** The cluster begun last is not listed. */
  dropCluster(): void {
    this.size = this.cluster;
    this.hosts = this.hostsBefore;
  }

  /** Takes a cluster over from older lists; false when there is no room. */
  keep(cluster: Slice): bool {
    const size = lenOf(cluster);
    const hosts = load<u32>(ptrOf(cluster), 12) as i32;
    if (this.hosts + hosts > MAX_HOSTS || !this.reserve(size)) return false;
    memory.copy(this.start + this.size, ptrOf(cluster), size);
    this.size += size;
    this.hosts += hosts;
    this.clusters++;
    return true;
  }

  /** The whole, valid until `begin`. */
  finish(version: u32): Slice {
    store<u32>(this.start, LAYOUT);
    store<u32>(this.start, version, 4);
    store<u32>(this.start, this.clusters, 8);
    store<u32>(this.start, this.size, 12);
    return slice(this.start, this.size);
  }

  private reserve(more: i32): bool {
    const needed = this.size + more;
    if (needed > MAX_BLOB) return false;
    if (needed <= this.capacity) return true;
    let capacity = this.capacity;
    while (capacity < needed) capacity *= 2;
    const grown = heap.alloc(capacity);
    memory.copy(grown, this.start, this.size);
    heap.free(this.start);
    this.start = grown;
    this.capacity = capacity;
    return true;
  }
}

const INITIAL: i32 = 4096;

function put(at: usize, bytes: Slice): void {
  const length = lenOf(bytes);
  memory.copy(at, ptrOf(bytes), length);
  memory.fill(at + length, 0, padded(length) - length);
}

/** Whether these are host lists that can be walked with `findCluster`. */
export function isBlob(blob: Slice): bool {
  return lenOf(blob) >= BLOB_HEADER && load<u32>(ptrOf(blob)) === LAYOUT;
}

/** The bytes of one cluster in the lists; a slice of length 0 when it is not listed. Bounded by the blob's own size. */
export function findCluster(blob: Slice, name: Slice): Slice {
  const end = lenOf(blob);
  const count = isBlob(blob) ? min<u32>(load<u32>(ptrOf(blob), 8), MAX_CLUSTERS) : 0;
  let at = BLOB_HEADER;
  for (let i: u32 = 0; i < count && end - at >= CLUSTER_HEADER; i++) {
    const cluster = ptrOf(blob) + at;
    const size = load<u32>(cluster, 8);
    const length = load<u32>(cluster, 16);
    if (size < (CLUSTER_HEADER as u32) || size > ((end - at) as u32)) break;
    if (length > size - (CLUSTER_HEADER as u32)) break;
    if (length === (lenOf(name) as u32)) {
      if (memory.compare(cluster + CLUSTER_HEADER, ptrOf(name), length) === 0) return slice(cluster, size);
    }
    at += size as i32;
  }
  return 0;
}
