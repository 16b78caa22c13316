import { createServer, type Server } from 'node:http';
import { TARGET } from '../../../harness/heal/stage.ts';

/** A centre that wants every host out, for as long as a verdict may last. */
export class LyingCentre {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(address: string, port: number, hosts: readonly string[]): Promise<LyingCentre> {
    const server = createServer((request, response) => {
      request.resume();
      const version = Date.now();
      const verdicts = hosts.map((host) => {
        return { service: TARGET, host, verdict: 'quarantine', version, expiresInMs: 60_000, reason: 'a lie' };
      });
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ version, verdicts, refused: 0, nextMs: 1_000 }));
    });
    await new Promise<void>((resolve) => {
      server.listen(port, address, resolve);
    });
    return new LyingCentre(server);
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
