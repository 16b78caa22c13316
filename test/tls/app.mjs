/** An application that answers `ok` to everything, by HTTP/1 or, with PROTOCOL=http2, by HTTP/2 without TLS. */
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';

const { LISTEN_HOST, LISTEN_PORT, PROTOCOL, INSTANCE_ID } = process.env;

function answer(request, response) {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain', 'x-instance': INSTANCE_ID });
  response.end('ok');
}

const server = PROTOCOL === 'http2' ? createHttp2Server(answer) : createServer({ keepAliveTimeout: 0 }, answer);
server.listen(Number(LISTEN_PORT), LISTEN_HOST);
// The driver holds the other end: without it nobody would end this process.
process.stdin.resume().on('end', () => process.exit(0));
