import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that nobody listens on now, for programs that cannot choose one by themselves. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
