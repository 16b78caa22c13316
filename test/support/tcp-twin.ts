import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { CloseType, EmulatedHost, type TcpStream, type Vm } from '../emulator/index.ts';
import { tcpBootstrap } from './envoy-bootstrap.ts';
import { PluginEnvoy } from './plugin-envoy.ts';
import type { TwinKind, TwinOptions } from './twin.ts';

/** A client's connection through the plugin to a server that sends everything back. */
export interface TcpConnection {
  send(data: string): Promise<void>;
  /** All bytes that have come back. */
  received(): string;
  closed(): boolean;
  /** The client has no more to say. */
  end(): Promise<void>;
}

/** A network plugin in one host, seen from outside only. */
export interface TcpTwin {
  open(): Promise<TcpConnection>;
  logs(): Promise<string[]>;
  /** Lets time pass until `look` holds. */
  eventually(what: string, look: () => Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

export function startTcpTwin(kind: TwinKind, options: TwinOptions): Promise<TcpTwin> {
  return kind === 'emulator' ? emulated(options) : real(options);
}

async function emulated(options: TwinOptions): Promise<TcpTwin> {
  const host = await EmulatedHost.load(options.module);
  const vm = host.vm({ vmId: 'twins', name: 'twin', rootId: options.rootId, configuration: options.configuration });
  return {
    open: async () => emulatedConnection(vm),
    logs: async () => host.messages(),
    eventually: async (what, look) => {
      for (let i = 0; i < 100; i++) {
        if (await look()) return;
        host.clock.advance(100);
      }
      throw new Error(`not within 10 s of emulated time: ${what}`);
    },
    stop: async () => vm.shutdown(),
  };
}

function emulatedConnection(vm: Vm): TcpConnection {
  const stream: TcpStream = vm.tcpStream({ properties: { 'source.address': '127.0.0.1:4711' } });
  stream.open();
  return {
    send: async (data) => {
      const before = stream.forwarded.downstream.length;
      stream.downstreamData(data);
      const echoed = stream.forwarded.downstream.slice(before);
      if (echoed !== '' && stream.closedBy === undefined) stream.upstreamData(echoed);
    },
    received: () => stream.forwarded.upstream,
    closed: () => stream.closedBy !== undefined,
    // The server hears it, closes as well, and Envoy closes the connection to the client.
    end: async () => {
      stream.downstreamData('', true);
      stream.upstreamData('', true);
      stream.close(CloseType.Local);
    },
  };
}

async function real(options: TwinOptions): Promise<TcpTwin> {
  const server: Server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets: Socket[] = [];
  try {
    const host = await PluginEnvoy.start((admin) =>
      tcpBootstrap(options, admin, (server.address() as AddressInfo).port),
    );
    return {
      open: async () => {
        const socket = connect(host.port, '127.0.0.1');
        sockets.push(socket);
        return await realConnection(socket);
      },
      logs: () => host.logs(),
      eventually: async (what, look) => {
        await waitUntil(what, async () => ((await look()) ? found(undefined) : notYet(what)), { deadlineMs: 10_000 });
      },
      stop: async () => {
        for (const socket of sockets) socket.destroy();
        await host.stop();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  } catch (error) {
    server.close();
    throw error;
  }
}

async function realConnection(socket: Socket): Promise<TcpConnection> {
  let received = '';
  let closed = false;
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.on('end', () => {
    closed = true;
  });
  socket.on('close', () => {
    closed = true;
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return {
    send: (data) => new Promise((resolve) => socket.write(Buffer.from(data, 'latin1'), () => resolve())),
    received: () => received,
    closed: () => closed,
    end: async () => {
      socket.end();
    },
  };
}
