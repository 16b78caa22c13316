/** So many hosts in one process, each of which fails a share of its requests at random. Ends when its parent does. */
import { createServer } from 'node:http';

const { addresses, port, share } = JSON.parse(process.argv[2]);

function listen(address) {
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    request.resume();
    const bad = request.url !== '/health' && Math.random() < share;
    response.writeHead(bad ? 503 : 200, { 'content-type': 'text/plain' });
    response.end('ok');
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, address, resolve);
  });
}

await Promise.all(addresses.map(listen));
process.send('ready');
process.on('disconnect', () => process.exit(0));
