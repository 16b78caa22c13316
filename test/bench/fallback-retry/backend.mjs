/**
 * Instances for the rig: one process that listens for many (argument: JSON list of {id, address, port, protocol}), each
 * in a mode that the parent changes by message {id, mode}. Answers {ready} at start, {done: n} to each message with its
 * number, and {counts} to {counts: true}: by instance, by method, what the application has run.
 *
 *   ok      200 and the instance's name      503    works, then answers 503
 *   sick    works, fails its health check    reset  works, then resets the stream (HTTP/1: the connection)
 *   refuse  closes its port                  accept-reset  resets each connection before it reads
 *   slow    200 after `delay` milliseconds
 */
import { createServer as createHttp } from 'node:http';
import { constants, createServer as createHttp2 } from 'node:http2';
import { createServer as createNet } from 'node:net';

const hosts = new Map();

function handle(host, request, response) {
  if (request.url === '/health') {
    response.statusCode = host.mode === 'sick' ? 503 : 200;
    response.end();
    return;
  }
  host.counts[request.method] = (host.counts[request.method] ?? 0) + 1;
  const finish = () => {
    if (host.mode === 'reset') {
      if (response.stream) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      else request.socket.resetAndDestroy();
      return;
    }
    if (request.headers['content-type'] === 'application/grpc') return finishGrpc(host, response);
    response.statusCode = host.mode === '503' ? 503 : 200;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id: host.id, headers: request.headers, method: request.method }));
  };
  request.resume();
  request.on('end', () => (host.delay > 0 ? setTimeout(finish, host.delay) : finish()));
}

function finishGrpc(host, response) {
  response.setHeader('content-type', 'application/grpc');
  response.setHeader('x-instance', host.id);
  response.addTrailers({ 'grpc-status': host.mode === '503' ? '14' : '0' });
  // One message of no bytes: trailers need a body before them.
  response.end(Buffer.alloc(5));
}

async function listen(host) {
  const { protocol, address, port } = host.spec;
  const onRequest = (request, response) => handle(host, request, response);
  if (host.mode === 'accept-reset') host.server = createNet((socket) => socket.resetAndDestroy());
  else if (protocol === 'http1') host.server = createHttp({ keepAliveTimeout: 60_000 }, onRequest);
  else host.server = createHttp2(onRequest);
  host.server.on(protocol === 'http1' ? 'connection' : 'session', (connection) => {
    host.connections.add(connection);
    host.opened++;
    connection.on('error', () => {});
    connection.on('close', () => host.connections.delete(connection));
  });
  await new Promise((done, failed) =>
    host.server.once('error', failed).listen({ host: address, port, backlog: 1024 }, done),
  );
}

async function close(host) {
  const closed = new Promise((done) => host.server.close(done));
  for (const connection of host.connections) connection.destroy();
  await closed;
}

const transport = (mode) => (mode === 'accept-reset' ? 'reset' : mode === 'refuse' ? 'none' : 'server');

async function change(id, mode, delay) {
  const host = hosts.get(id);
  const before = transport(host.mode);
  host.mode = mode;
  host.delay = delay ?? 0;
  if (before === transport(mode)) return;
  if (before !== 'none') await close(host);
  if (transport(mode) !== 'none') await listen(host);
}

for (const spec of JSON.parse(process.argv[2])) {
  const host = { spec, id: spec.id, mode: 'ok', delay: 0, counts: {}, opened: 0, connections: new Set() };
  hosts.set(spec.id, host);
  await listen(host);
}
process.on('message', async (message) => {
  if (message.counts) {
    const counts = Object.fromEntries([...hosts.values()].map((host) => [host.id, { ...host.counts }]));
    const open = Object.fromEntries([...hosts.values()].map((host) => [host.id, host.connections.size]));
    process.send({ done: message.number, counts, open });
    return;
  }
  await change(message.id, message.mode, message.delay);
  process.send({ done: message.number });
});
process.on('disconnect', () => process.exit(0));
process.send({ ready: true });
