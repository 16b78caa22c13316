/** An application with streams: `/stream` goes on until somebody ends it; everything else is answered with its instance. */
import { createServer } from 'node:http';

const { LISTEN_HOST, LISTEN_PORT, INSTANCE_ID } = process.env;

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain' });
  if (!request.url.startsWith('/stream')) {
    response.end(INSTANCE_ID);
    return;
  }
  const timer = setInterval(() => response.write(`${INSTANCE_ID}\n`), 20);
  response.on('close', () => clearInterval(timer));
});
server.listen(Number(LISTEN_PORT), LISTEN_HOST);
// The driver holds the other end: without it nobody would end this process.
process.stdin.resume().on('end', () => process.exit(0));
