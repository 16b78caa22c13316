import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/**
 * An application that does badly when told so: `POST /behave?status=503&share=1&delay=0&to=caller-a` on its own port. Its
 * health check passes whatever it does, as that of a process with a broken dependency does.
 */
const { LISTEN_HOST, LISTEN_PORT, INSTANCE_ID = '' } = process.env;

let share = 0;
let status = 503;
let delayMs = 0;
/** Only requests that say so in `x-caller` are treated badly; empty = all. */
let to = '';

function answer(response: ServerResponse, code: number): void {
  response.writeHead(code, { 'content-type': 'text/plain', 'x-instance': INSTANCE_ID });
  response.end(code === 200 ? 'ok\n' : 'not ok\n');
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://app');
  const told = pathname === '/behave' && request.method === 'POST';
  if (told) {
    share = Number(searchParams.get('share') ?? 0);
    status = Number(searchParams.get('status') ?? 503);
    delayMs = Number(searchParams.get('delay') ?? 0);
    to = searchParams.get('to') ?? '';
  }
  const meant = to === '' || request.headers['x-caller'] === to;
  if (told || pathname === '/health') answer(response, 200);
  else setTimeout(() => answer(response, meant && Math.random() < share ? status : 200), meant ? delayMs : 0);
}

createServer({ keepAliveTimeout: 0 }, handle).listen(Number(LISTEN_PORT), LISTEN_HOST);
// The driver holds the other end: without it nobody would end this process.
if (process.env.EXIT_WITH_STDIN) process.stdin.resume().on('end', () => process.exit(0));
