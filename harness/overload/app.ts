import { createServer, type Server, type Socket } from 'node:net';
import { Random } from './random.ts';
import { Work, type WorkSettings } from './work.ts';

export interface AppSettings extends WorkSettings {
  readonly address: string;
  readonly port: number;
  /** Seed of the service times. */
  readonly seed: number;
  /** Response header that tells how long the request waited, milliseconds; empty = the application reports nothing. */
  readonly queueHeader: string;
}

/** What can change while the application runs. */
export type AppChange = Partial<Omit<WorkSettings, 'slots'>>;

const HEAD_END = Buffer.from('\r\n\r\n');
/** Beyond it the peer is not the proxy that this application is for. */
const MAX_HEAD = 64 * 1_024;

/**
 * The overloadable application: HTTP/1.1 requests without bodies, answered 200 when {@link Work} has served them. It reads
 * everything at once and works on everything that it has read, also on what its caller has given up.
 */
export class App {
  private readonly settings: AppSettings;
  private readonly work: Work<Socket>;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private ticking = false;

  private constructor(settings: AppSettings) {
    this.settings = settings;
    this.work = new Work<Socket>(settings, new Random(settings.seed));
    this.server = createServer({ noDelay: true }, (socket) => this.serve(socket));
  }

  static async start(settings: AppSettings): Promise<App> {
    const app = new App(settings);
    await new Promise<void>((resolve, reject) => {
      app.server.once('error', reject);
      // The backlog holds what arrives while the process is stopped.
      app.server.listen({ host: settings.address, port: settings.port, backlog: 4_096 }, resolve);
    });
    return app;
  }

  /** The port it listens on; of use when the settings' port was 0. */
  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  change(change: AppChange): void {
    this.work.change(change);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let end = data.indexOf(HEAD_END); end !== -1; end = data.indexOf(HEAD_END, from)) {
        from = end + HEAD_END.length;
        this.work.add(socket, performance.now());
        this.tickSoon();
      }
      rest = data.subarray(from);
      if (rest.length > MAX_HEAD) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.sockets.delete(socket));
  }

  private tickSoon(): void {
    if (this.ticking) return;
    this.ticking = true;
    setTimeout(this.tick, 1);
  }

  private readonly tick = (): void => {
    this.ticking = false;
    this.work.finish(performance.now(), this.answer);
    if (this.work.inHand > 0) this.tickSoon();
  };

  private readonly answer = (socket: Socket, waitedMs: number): void => {
    if (socket.destroyed || !socket.writable) return;
    const { queueHeader } = this.settings;
    const report = queueHeader === '' ? '' : `${queueHeader}: ${waitedMs.toFixed(3)}\r\n`;
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 3\r\n${report}\r\nok\n`, 'latin1');
  };
}
