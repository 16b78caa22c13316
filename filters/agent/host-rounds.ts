import {
  ascii,
  BufferType,
  byteAt,
  equal,
  getShared,
  HttpCallHandler,
  lenOf,
  now,
  OVERWRITE,
  PieceReader,
  persist,
  ptrOf,
  Slice,
  setShared,
  slice,
  timeNow,
} from 'proxy-wasm-assemblyscript-sdk';
import { Admin } from './admin';
import { wantedLately, wantedName } from './blob';
import { HostScanner, Outcome } from './host-scanner';
import { BlobWriter, findCluster, HOSTS_KEY, MAX_CLUSTERS, MAX_NAME, WANTED_KEY } from './layout';
import { AgentMetrics } from './metrics';
import { Pace } from './policy';

/** Roles that may want hosts: those of the builders, and a filter that runs alone without one. */
const ROLES = ['', 'gateway', 'inbound', 'outbound', 'upstream', 'network'];
/** Longest answer that is read: 10,000 hosts take about 9 MB, and Envoy holds answers up to 32 MiB. */
const MAX_ANSWER: u32 = 16 << 20;
/** How long a cluster with too many hosts is left alone. */
const REST_NS: u64 = 600_000_000_000;

const HOSTS = ascii(HOSTS_KEY);
const PATH = ascii('/clusters?format=json&filter=%5E');

@final
class WantedCluster {
  restUntil: u64 = 0;
  wanted: bool = true;

  constructor(readonly name: Slice) {}
}

/** What is told when a round is over. */
export abstract class RoundEnd {
  abstract roundEnded(hosts: i32): void;
}

/**
 * Reads the hosts of the wanted clusters: a round asks for one cluster after the other, each answer asks for the next,
 * and the last one publishes. Of a cluster whose answer fails the hosts of the round before stay listed, with their time.
 */
@final
export class HostRounds extends HttpCallHandler {
  end: RoundEnd | null = null;
  private readonly clusters: WantedCluster[] = [];
  private readonly wantedKeys: StaticArray<u64> = new StaticArray<u64>(ROLES.length);
  private before: BlobWriter = new BlobWriter();
  private next: BlobWriter = new BlobWriter();
  private lists: Slice = 0;
  private readonly scan: Scan = new Scan();
  private readonly path: usize = heap.alloc(lenOf(PATH) + 3 * MAX_NAME + 3);

  private index: i32 = 0;
  private startedAt: u64 = 0;
  private open: bool = false;
  /** Some answer of this round could be understood: there is something to publish. */
  private news: bool = false;
  private cost: u64 = 0;
  private askedAt: u64 = 0;

  constructor(
    private readonly admin: Admin,
    private readonly pace: Pace,
    private readonly metrics: AgentMetrics,
    /** Of the published lists; another number with each round. */
    public version: u32,
  ) {
    super();
    for (let i = 0; i < ROLES.length; i++) this.wantedKeys[i] = ascii(WANTED_KEY + ROLES[i]);
  }

  /** Begins a round when one is due and anything is wanted. */
  tick(due: bool): void {
    if (this.open || !due) return;
    this.startedAt = now();
    this.findWanted();
    if (this.clusters.length === 0) return;
    this.open = true;
    this.index = 0;
    this.cost = 0;
    this.news = false;
    this.next.begin();
    this.ask();
  }

  /** Time of the last round's beginning. */
  get lastAt(): u64 {
    return this.startedAt;
  }

  onAnswer(status: u32, bodySize: u32): void {
    const at = now();
    const list = this.next;
    const cluster = this.clusters[this.index];
    const began = list.beginCluster(cluster.name, at);
    if (status !== 200) {
      this.metrics.hostsFailed.add();
      this.keep(cluster, began);
    } else {
      const outcome = !began || bodySize > MAX_ANSWER ? Outcome.TooMany : this.scan.all(list, cluster.name, bodySize);
      this.metrics.countHosts(outcome);
      if (outcome === Outcome.Listed) list.endCluster();
      else if (outcome === Outcome.Malformed) this.keep(cluster, began);
      else list.dropCluster();
      if (outcome !== Outcome.Malformed) this.news = true;
      if (outcome === Outcome.TooMany) cluster.restUntil = at + REST_NS;
    }
    const ended = timeNow();
    if (ended > this.askedAt) this.cost += ended - this.askedAt;
    this.index++;
    this.ask();
  }

  private keep(cluster: WantedCluster, began: bool): void {
    this.next.dropCluster();
    const older = findCluster(this.lists, cluster.name);
    if (began && lenOf(older) > 0) this.next.keep(older);
  }

  /** Asks for the next cluster that can be asked for; publishes after the last. */
  private ask(): void {
    for (; this.index < this.clusters.length; this.index++) {
      const cluster = this.clusters[this.index];
      // A rest that ends further ahead than it can is the clock's doing.
      if (cluster.restUntil > this.startedAt && cluster.restUntil - this.startedAt <= REST_NS) continue;
      this.askedAt = timeNow();
      if (this.admin.get(this.pathFor(cluster.name), this)) return;
      this.metrics.hostsFailed.add();
      this.keep(cluster, this.next.beginCluster(cluster.name, 0));
    }
    this.open = false;
    if (this.news) this.publish();
    this.close();
  }

  private publish(): void {
    this.version++;
    const blob = this.next.finish(this.version);
    setShared(HOSTS, blob, OVERWRITE);
    const spare = this.before;
    this.before = this.next;
    this.next = spare;
    this.lists = blob;
  }

  private close(): void {
    const hosts = this.before.hosts;
    this.pace.spent(this.cost);
    this.metrics.listed.set(hosts);
    this.metrics.hostsPeriod.set(this.pace.period());
    this.metrics.hostsCost.set(this.pace.cost() / 1000);
    let resting = 0;
    for (let i = 0; i < this.clusters.length; i++) {
      if (this.clusters[i].restUntil > this.startedAt) resting++;
    }
    this.metrics.tooLarge.set(resting);
    const end = this.end;
    if (end !== null) end.roundEnded(hosts);
  }

  /** Brings `clusters` in line with what the roles have said lately. */
  private findWanted(): void {
    const clusters = this.clusters;
    for (let i = 0; i < clusters.length; i++) clusters[i].wanted = false;
    for (let role = 0; role < this.wantedKeys.length; role++) {
      const wanted = getShared(this.wantedKeys[role]);
      if (!wantedLately(wanted, this.startedAt)) continue;
      for (let i = 0; i < MAX_CLUSTERS; i++) {
        const name = wantedName(wanted, i);
        if (lenOf(name) === 0) break;
        if (lenOf(name) <= MAX_NAME) this.want(name);
      }
    }
    for (let i = clusters.length - 1; i >= 0; i--) {
      if (clusters[i].wanted) continue;
      heap.free(ptrOf(clusters[i].name));
      clusters.splice(i, 1);
    }
  }

  private want(name: Slice): void {
    const clusters = this.clusters;
    for (let i = 0; i < clusters.length; i++) {
      if (!equal(clusters[i].name, name)) continue;
      clusters[i].wanted = true;
      return;
    }
    if (clusters.length < MAX_CLUSTERS) clusters.push(new WantedCluster(persist(name)));
  }

  /** The filter is a regular expression inside a query: what means something in either is asked for as `.`, any byte. */
  private pathFor(name: Slice): Slice {
    const start = this.path;
    let at = start + lenOf(PATH);
    memory.copy(start, ptrOf(PATH), lenOf(PATH));
    for (let i = 0; i < lenOf(name); i++) {
      const byte = byteAt(name, i);
      const lower = byte | 0x20;
      const plain =
        (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f || byte === 0x2d;
      store<u8>(at++, plain ? byte : 0x2e);
    }
    // `$`
    store<u8>(at, 0x25);
    store<u8>(at, 0x32, 1);
    store<u8>(at, 0x34, 2);
    return slice(start, at + 3 - start);
  }
}

/** An answer on its way through the scanner. */
@final
class Scan extends PieceReader {
  private readonly scanner: HostScanner = new HostScanner();

  all(list: BlobWriter, name: Slice, size: u32): Outcome {
    this.scanner.begin(list, name);
    this.read(BufferType.HttpCallResponseBody, size);
    return this.scanner.end();
  }

  piece(piece: Slice): bool {
    return this.scanner.feed(piece);
  }
}
