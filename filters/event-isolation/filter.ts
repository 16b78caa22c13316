/**
 * A network filter between an application and its message broker: while the instance is isolated or offline it closes the
 * connections that are there and refuses new ones, so that no event reaches the application. Clients connect again by
 * themselves when it lets them.
 */
import { closeStream, FilterStatus, now, Slice, StreamType, TcpPlugin, TcpStream } from 'proxy-wasm-assemblyscript-sdk';
import { OpenStreams, Place } from '../isolation/open-streams';
import { holdsOrder } from '../isolation/policy';
import { isOffline, orderedUntil } from '../isolation/shared';
import { readConfiguration, TickDivider } from '../plugin';
import { EventMetrics } from './metrics';

/** How soon connections are closed. */
const FAST_TICK_MS: u32 = 100;
const MILLISECOND: u64 = 1_000_000;

/** That of the configuration in force; one before it, which still has connections, decides nothing any more. */
let inForce: EventIsolationPlugin | null = null;
/** The connections of this worker, whichever configuration they began under. */
const connections = new OpenStreams(StreamType.Downstream);

@final
export class EventIsolationPlugin extends TcpPlugin {
  metrics: EventMetrics | null = null;
  private isolated: bool = false;
  private centre: bool = false;
  private ordered: bool = false;
  private offline: bool = false;
  private begun: bool = false;
  private divider: TickDivider = new TickDivider();

  onConfigure(configuration: Slice): bool {
    const section = readConfiguration(configuration, 'event-isolation');
    if (section === null) return false;
    const isolated = section.get('isolated');
    this.isolated = isolated !== null && isolated.bool;
    const centre = section.get('centre');
    this.centre = centre !== null && centre.bool;
    this.metrics = new EventMetrics();
    this.divider.start(FAST_TICK_MS);
    return true;
  }

  get closed(): bool {
    return this.isolated || this.offline || this.ordered;
  }

  createStream(): TcpStream {
    this.begin();
    return new Connection(this);
  }

  onTick(): void {
    this.begin();
    this.housekeeping = this.divider.due();
    if (inForce !== this) return;
    this.see();
    if (!this.closed) return;
    this.metrics!.closed.add(connections.close(this.id));
  }

  /** Not before it is used, so that a configuration that Envoy drops never is. */
  private begin(): void {
    if (this.begun) return;
    this.begun = true;
    inForce = this;
    this.see();
  }

  private see(): void {
    this.offline = isOffline();
    this.ordered = this.centre && holdsOrder(orderedUntil(), (now() / MILLISECOND) as f64);
  }
}

@final
class Connection extends TcpStream {
  private readonly place: Place = new Place();

  constructor(private readonly plugin: EventIsolationPlugin) {
    super();
  }

  onNewConnection(): FilterStatus {
    const metrics = this.plugin.metrics!;
    if (this.plugin.closed) {
      metrics.refused.add();
      closeStream(StreamType.Downstream);
      return FilterStatus.StopIteration;
    }
    metrics.open.move(1);
    connections.enter(this.place, this);
    return FilterStatus.Continue;
  }

  onReset(): void {
    if (connections.leave(this.place)) this.plugin.metrics!.open.move(-1);
  }
}
