/**
 * An application that can only do so much: SLOTS requests at a time, SERVICE_MS each, first come, first served. It does not
 * notice that a caller has given up. T2 goes out in `x-queue-ms`, or in an ORCA report (REPORT=orca), or not at all (none).
 * PROTOCOL=http2 answers gRPC as well.
 */
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';

const {
  HOST = '127.0.0.1',
  PORT = '0',
  SLOTS = '4',
  SERVICE_MS = '10',
  REPORT = 'header',
  PROTOCOL = 'http1',
} = process.env;
const slots = Number(SLOTS);
const serviceMs = Number(SERVICE_MS);
const waiting = [];
let busy = 0;

function serve() {
  while (busy < slots && waiting.length > 0) {
    const job = waiting.shift();
    busy++;
    job.queueMs = performance.now() - job.arrived;
    setTimeout(() => finish(job), serviceMs);
  }
}

function finish({ response, queueMs, seen, grpc }) {
  busy--;
  if (REPORT === 'header') response.setHeader('x-queue-ms', queueMs.toFixed(3));
  if (REPORT === 'orca')
    response.setHeader('endpoint-load-metrics', `TEXT named_metrics.queue_ms:${queueMs.toFixed(3)}`);
  response.setHeader('x-seen', JSON.stringify(seen));
  if (grpc) {
    response.setHeader('content-type', 'application/grpc');
    response.addTrailers({ 'grpc-status': '0' });
  }
  // One gRPC message of no bytes, or a line.
  response.end(grpc ? Buffer.alloc(5) : 'done\n');
  serve();
}

const createServer = PROTOCOL === 'http2' ? createHttp2 : createHttp;
createServer((request, response) => {
  const seen = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith('x-causeway-')));
  if (request.url === '/fail') {
    response.writeHead(500).end();
    return;
  }
  if (request.url === '/claim') {
    response.writeHead(503, { 'x-causeway-shed': '128' }).end();
    return;
  }
  if (request.url === '/health') {
    response.end('ok\n');
    return;
  }
  const grpc = PROTOCOL === 'http2' && request.headers['content-type'] === 'application/grpc';
  waiting.push({ response, arrived: performance.now(), seen, grpc });
  serve();
}).listen(Number(PORT), HOST, () => process.stdout.write('ready\n'));
// The parent's end of the pipe is its life: without it nobody is left to serve.
process.stdin.on('end', () => process.exit(0)).resume();
