/**
 * An application that speaks what its service is said to: HTTP/1 with WebSockets, or (PROTOCOL=http2) HTTP/2 and gRPC. Every
 * answer names its instance in `x-instance`.
 *
 *   /bad             fails at the second instance of the baseline
 *   /slow            takes 1.5 s
 *   `x-stream: 1`    begins to answer at once, and gives back each chunk as it comes
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';

const { LISTEN_HOST, LISTEN_PORT, PROTOCOL, INSTANCE_ID } = process.env;
const SLOW_MS = 1_500;
const fails = (path) => path.startsWith('/bad') && INSTANCE_ID.endsWith('-base-2');

function answer(request, response) {
  const headers = { 'x-instance': INSTANCE_ID };
  const grpc = request.headers['content-type'] === 'application/grpc';
  const status = fails(request.url) ? (grpc ? 13 : 500) : grpc ? 0 : 200;
  response.on('error', () => {});
  const delay = request.url.startsWith('/slow') ? SLOW_MS : 0;
  if (request.headers['x-stream'] === '1' && status === 200) {
    setTimeout(() => {
      response.writeHead(200, headers);
      request.pipe(response);
    }, delay);
    return;
  }
  request.resume();
  setTimeout(() => end(response, headers, grpc, status), delay);
}

function end(response, headers, grpc, status) {
  if (!grpc) {
    response.writeHead(status, headers);
    response.end(INSTANCE_ID);
    return;
  }
  response.writeHead(200, { ...headers, 'content-type': 'application/grpc' });
  // An empty message before the trailers.
  response.write(Buffer.alloc(5));
  response.addTrailers({ 'grpc-status': String(status) });
  response.end();
}

/** RFC 6455: the handshake, then the instance's name in one frame and the client's frames given back without their mask. */
function upgrade(request, socket) {
  socket.on('error', () => {});
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  if (fails(request.url)) {
    socket.end('HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const head = `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nx-instance: ${INSTANCE_ID}`;
  setTimeout(
    () => socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head}\r\n\r\n`),
    request.url.startsWith('/slow') ? SLOW_MS : 0,
  );
  socket.on('data', (bytes) => socket.write(bytes));
}

const server = PROTOCOL === 'http2' ? createHttp2Server(answer) : createServer({ keepAliveTimeout: 0 }, answer);
server.on('upgrade', upgrade);
server.listen(Number(LISTEN_PORT), LISTEN_HOST);
// The driver holds the other end: without it nobody would end this process.
process.stdin.resume().on('end', () => process.exit(0));
