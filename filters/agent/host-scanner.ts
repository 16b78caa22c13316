/**
 * Reads the admin's answer to `/clusters?format=json`, piece by piece as it comes, straight into a `BlobWriter`.
 *
 * A pushdown automaton over single bytes, not a JSON parser: it follows nesting (bounded), knows where it stands by the
 * keys that matter, and takes everything else for something that need not be understood. No byte sequence makes it trap,
 * loop or keep more than one string of `MAX_TEXT` bytes. What is no whole document is not listed.
 */
import { equal, lenOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { BlobWriter, Health, HostFacts, MAX_ADDRESS } from './layout';

const MAX_DEPTH: i32 = 24;
const MAX_TEXT: i32 = 256;

/** Where an object or array stands. */
enum Place {
  Other,
  Root,
  Clusters,
  Cluster,
  Hosts,
  Host,
  Address,
  Socket,
  Pipe,
  Stats,
  Stat,
  HealthStatus,
}

/** What became of an answer. */
export enum Outcome {
  /** Listed. */
  Listed,
  /** The document is whole, the cluster is not in it. */
  Absent,
  /** No such document. */
  Malformed,
  /** More hosts or bytes than may be listed. */
  TooMany,
}

const FNV_START: u32 = 0x811c9dc5;

/** Words are told by their hash: one that collides with a known word is only read wrongly. */
function word(text: string): u32 {
  let hash = FNV_START;
  for (let i = 0; i < text.length; i++) hash = (hash ^ (text.charCodeAt(i) as u32)) * 0x01000193;
  return hash;
}

const NAME = word('name');
const VALUE = word('value');
const ADDRESS = word('address');
const PORT_VALUE = word('port_value');
const PATH = word('path');
const CLUSTER_STATUSES = word('cluster_statuses');
const HOST_STATUSES = word('host_statuses');
const SOCKET_ADDRESS = word('socket_address');
const PIPE = word('pipe');
const STATS = word('stats');
const HEALTH_STATUS = word('health_status');
const WEIGHT = word('weight');
const PRIORITY = word('priority');
const TRUE = word('true');

const RQ_TOTAL = word('rq_total');
const RQ_ERROR = word('rq_error');
const RQ_TIMEOUT = word('rq_timeout');
const RQ_ACTIVE = word('rq_active');
const CX_CONNECT_FAIL = word('cx_connect_fail');

const FAILED_ACTIVE = word('failed_active_health_check');
const FAILED_OUTLIER = word('failed_outlier_check');
const FAILED_DEGRADED = word('failed_active_degraded_check');
const PENDING_REMOVAL = word('pending_dynamic_removal');
const PENDING_CHECK = word('pending_active_hc');
const EXCLUDED = word('excluded_via_immediate_hc_fail');
const CHECK_TIMEOUT = word('active_hc_timeout');
const EDS_STATUS = word('eds_health_status');
const EDS_UNHEALTHY = word('UNHEALTHY');
const EDS_DRAINING = word('DRAINING');
const EDS_TIMEOUT = word('TIMEOUT');
const EDS_DEGRADED = word('DEGRADED');

@final
export class HostScanner {
  private readonly places: StaticArray<i32> = new StaticArray<i32>(MAX_DEPTH);
  private readonly arrays: StaticArray<bool> = new StaticArray<bool>(MAX_DEPTH);
  private depth: i32 = 0;
  private begun: bool = false;
  private key: u32 = 0;
  private keyDue: bool = false;

  private readonly text: usize = heap.alloc(MAX_TEXT);
  private length: i32 = 0;
  private hash: u32 = 0;
  private inString: bool = false;
  private escaped: bool = false;
  private inLiteral: bool = false;

  private readonly address: usize = heap.alloc(MAX_ADDRESS);
  private addressLength: i32 = 0;
  private port: i64 = -1;
  private isPath: bool = false;
  private readonly facts: HostFacts = new HostFacts();
  private counter: u32 = 0;
  private number: u64 = 0;

  private wanted: Slice = 0;
  private rightCluster: bool = false;
  private found: bool = false;
  private broken: bool = false;
  private tooMany: bool = false;

  private list: BlobWriter | null = null;

  /** Begins an answer about the cluster `name`, whose list `list` has begun. `name` must live until `end`. */
  begin(list: BlobWriter, name: Slice): void {
    this.list = list;
    this.wanted = name;
    this.depth = 0;
    this.begun = false;
    this.inString = false;
    this.escaped = false;
    this.inLiteral = false;
    this.keyDue = false;
    this.rightCluster = false;
    this.found = false;
    this.broken = false;
    this.tooMany = false;
  }

  /** The next piece. False when the rest need not be read: `end` knows the outcome already. */
  feed(piece: Slice): bool {
    const length = lenOf(piece);
    const start = (piece >> 32) as usize;
    for (let i = 0; i < length; i++) {
      this.byte(load<u8>(start + i));
      if (this.broken || this.tooMany) return false;
    }
    return true;
  }

  end(): Outcome {
    if (this.tooMany) return Outcome.TooMany;
    if (this.broken || !this.begun || this.depth > 0) return Outcome.Malformed;
    return this.found ? Outcome.Listed : Outcome.Absent;
  }

  private byte(byte: u8): void {
    if (this.inString) {
      if (this.escaped) {
        this.escaped = false;
        this.append(byte);
      } else if (byte === 0x5c) this.escaped = true;
      else if (byte === 0x22) {
        this.inString = false;
        this.string();
      } else this.append(byte);
      return;
    }
    if (this.inLiteral) {
      if (isLiteral(byte)) {
        this.append(byte);
        return;
      }
      this.inLiteral = false;
      this.scalar();
    }
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return;
    if (byte === 0x7b || byte === 0x5b) {
      this.open(byte === 0x5b);
      return;
    }
    if (this.depth === 0) {
      this.broken = true;
      return;
    }
    switch (byte) {
      case 0x22:
        this.clearText();
        this.inString = true;
        return;
      case 0x7d:
      case 0x5d:
        this.close(byte === 0x5d);
        return;
      case 0x2c:
        this.keyDue = !unchecked(this.arrays[this.depth - 1]);
        return;
      case 0x3a:
        return;
    }
    if (isLiteral(byte)) {
      this.clearText();
      this.append(byte);
      this.inLiteral = true;
    } else this.broken = true;
  }

  private clearText(): void {
    this.length = 0;
    this.hash = FNV_START;
  }

  /** Of a longer text only the length stays right, and that it is no known word. */
  private append(byte: u8): void {
    if (this.length < MAX_TEXT) store<u8>(this.text + this.length, byte);
    if (this.length <= MAX_TEXT) this.length++;
    this.hash = (this.hash ^ (byte as u32)) * 0x01000193;
  }

  private open(array: bool): void {
    const depth = this.depth;
    if (depth === 0 && (this.begun || array)) this.broken = true;
    if (depth >= MAX_DEPTH) this.broken = true;
    if (this.broken) return;
    const place = depth === 0 ? Place.Root : inside(unchecked(this.places[depth - 1]), this.key, array);
    this.begun = true;
    unchecked((this.places[depth] = place));
    unchecked((this.arrays[depth] = array));
    this.depth = depth + 1;
    this.keyDue = !array;
    this.key = 0;
    if (place === Place.Cluster) this.rightCluster = false;
    else if (place === Place.Host) {
      this.facts.clear();
      this.addressLength = 0;
      this.port = -1;
      this.isPath = false;
    } else if (place === Place.Stat) {
      this.counter = 0;
      this.number = 0;
    }
  }

  private close(array: bool): void {
    const depth = this.depth - 1;
    if (unchecked(this.arrays[depth]) !== array) {
      this.broken = true;
      return;
    }
    this.depth = depth;
    this.keyDue = false;
    const place = unchecked(this.places[depth]);
    if (place === Place.Host) this.host();
    else if (place === Place.Stat) this.count();
  }

  private string(): void {
    if (this.keyDue) {
      this.key = this.hash;
      this.keyDue = false;
    } else this.scalar();
  }

  /** A string, number, or word stands under `key` in the place on top. */
  private scalar(): void {
    const key = this.key;
    switch (unchecked(this.places[this.depth - 1])) {
      case Place.Cluster:
        if (key === NAME) {
          this.rightCluster = equal(slice(this.text, this.shown()), this.wanted);
          if (this.rightCluster) this.found = true;
        }
        return;
      case Place.Socket:
        if (key === ADDRESS) this.takeAddress(false);
        else if (key === PORT_VALUE) this.port = this.decimal() as i64;
        return;
      case Place.Pipe:
        if (key === PATH) this.takeAddress(true);
        return;
      case Place.Host:
        if (key === WEIGHT) this.facts.weight = clamped(this.decimal());
        else if (key === PRIORITY) this.facts.priority = min<u64>(this.decimal(), 255) as u8;
        return;
      case Place.Stat:
        if (key === NAME) this.counter = this.hash;
        else if (key === VALUE) this.number = this.decimal();
        return;
      case Place.HealthStatus:
        this.health(key);
        return;
    }
  }

  private shown(): i32 {
    return this.length > MAX_TEXT ? 0 : this.length;
  }

  private health(key: u32): void {
    let bit = 0;
    if (key === EDS_STATUS) {
      const status = this.hash;
      if (status === EDS_UNHEALTHY || status === EDS_DRAINING || status === EDS_TIMEOUT) {
        bit = Health.DiscoveredUnhealthy;
      } else if (status === EDS_DEGRADED) bit = Health.Degraded;
    } else if (this.hash === TRUE) {
      if (key === FAILED_ACTIVE) bit = Health.FailedActiveCheck;
      else if (key === FAILED_OUTLIER) bit = Health.FailedOutlierCheck;
      else if (key === FAILED_DEGRADED) bit = Health.Degraded;
      else if (key === PENDING_REMOVAL) bit = Health.PendingRemoval;
      else if (key === PENDING_CHECK) bit = Health.PendingFirstCheck;
      else if (key === EXCLUDED) bit = Health.ExcludedAtOnce;
      else if (key === CHECK_TIMEOUT) bit = Health.CheckTimedOut;
    }
    this.facts.health |= bit as u8;
  }

  private count(): void {
    const number = this.number;
    const facts = this.facts;
    if (this.counter === RQ_TOTAL) facts.requests = number;
    else if (this.counter === RQ_ERROR) facts.errors = clamped(number);
    else if (this.counter === RQ_TIMEOUT) facts.timeouts = clamped(number);
    else if (this.counter === RQ_ACTIVE) facts.active = clamped(number);
    else if (this.counter === CX_CONNECT_FAIL) facts.connectFailures = clamped(number);
  }

  /** Printable ASCII alone, since an address may go into a header. Leaves room for the brackets of an IPv6 address and for a port. */
  private takeAddress(path: bool): void {
    const length = this.length;
    if (length > MAX_ADDRESS - 8) return;
    for (let i = 0; i < length; i++) {
      const byte = load<u8>(this.text + i);
      if (byte <= 0x20 || byte >= 0x7f) return;
    }
    memory.copy(this.address, this.text, length);
    this.addressLength = length;
    this.isPath = path;
  }

  /** Decimal digits, at most 18; anything else is 0. */
  private decimal(): u64 {
    const length = this.length;
    if (length > 18) return 0;
    let value: u64 = 0;
    for (let i = 0; i < length; i++) {
      const digit = load<u8>(this.text + i) - 0x30;
      if (digit > 9) return 0;
      value = value * 10 + (digit as u64);
    }
    return value;
  }

  private host(): void {
    if (!this.rightCluster || this.addressLength === 0) return;
    if (!this.isPath) {
      if (this.port < 0 || this.port > 65_535) return;
      this.addressLength = withPort(this.address, this.addressLength, this.port as u32);
    }
    const list = this.list;
    if (list !== null && !list.host(slice(this.address, this.addressLength), this.facts)) this.tooMany = true;
  }
}

/** Letters, digits, and what else numbers are made of. */
function isLiteral(byte: u8): bool {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || (byte >= 0x2b && byte <= 0x39 && byte !== 0x2c && byte !== 0x2f);
}

function clamped(value: u64): u32 {
  return min<u64>(value, u32.MAX_VALUE as u64) as u32;
}

/** Where an object or array under `key` stands, or one that is an element. */
function inside(parent: i32, key: u32, array: bool): Place {
  if (array) {
    if (parent === Place.Root && key === CLUSTER_STATUSES) return Place.Clusters;
    if (parent === Place.Cluster && key === HOST_STATUSES) return Place.Hosts;
    if (parent === Place.Host && key === STATS) return Place.Stats;
    return Place.Other;
  }
  if (parent === Place.Clusters) return Place.Cluster;
  if (parent === Place.Hosts) return Place.Host;
  if (parent === Place.Stats) return Place.Stat;
  if (parent === Place.Host && key === ADDRESS) return Place.Address;
  if (parent === Place.Host && key === HEALTH_STATUS) return Place.HealthStatus;
  if (parent === Place.Address && key === SOCKET_ADDRESS) return Place.Socket;
  if (parent === Place.Address && key === PIPE) return Place.Pipe;
  return Place.Other;
}

/** Makes `1.2.3.4` into `1.2.3.4:80` and `::1` into `[::1]:80`, as the property `upstream.address` has it. */
function withPort(address: usize, length: i32, port: u32): i32 {
  let end = length;
  for (let i = 0; i < length; i++) {
    if (load<u8>(address + i) !== 0x3a) continue;
    memory.copy(address + 1, address, length);
    store<u8>(address, 0x5b);
    store<u8>(address + length, 0x5d, 1);
    end = length + 2;
    break;
  }
  store<u8>(address + end, 0x3a);
  end++;
  let divisor: u32 = 1;
  while (port / divisor >= 10) divisor *= 10;
  for (; divisor > 0; divisor /= 10) store<u8>(address + end++, (0x30 + ((port / divisor) % 10)) as u8);
  return end;
}
