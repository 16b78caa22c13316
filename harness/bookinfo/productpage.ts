import { type AppAnswer, type AppRequest, type Handler, json } from './app.ts';
import { END_USER, FORWARDED_HEADERS, passOn } from './forward.ts';
import type { CallResult, Outbound } from './outbound.ts';
import { BOOK, indexPage, productPage, STYLE } from './page.ts';
import { hop } from './services.ts';
import type { Settings } from './settings.ts';

const API = /^\/api\/v1\/products\/([0-9]{1,9})(?:\/(reviews|ratings))?$/;

/** The page and its API, as in Istio's sample. With `Accept: application/json` the page comes as the call tree. */
export function productpage(settings: Settings, outbound: Outbound): Handler {
  const names = [...FORWARDED_HEADERS, ...settings.forwardExtra];

  // As in Istio's sample the user comes from the session, not from an incoming header.
  const forwarded = (request: AppRequest): Record<string, string> => {
    const user = sessionUser(request);
    return { ...passOn(request.headers, names, settings.ownSpans), ...(user === '' ? {} : { [END_USER]: user }) };
  };

  // The callee's JSON and status, with this instance's hop around the callee's.
  const relay = (request: AppRequest, { call, body }: CallResult): AppAnswer => {
    const failed = { error: `Sorry, product ${call.service} are currently unavailable for this book.` };
    const ok = call.status === 200 && body;
    return json(call.status || 500, { ...(ok ? body : failed), hop: hop(settings, request, [call]) });
  };

  async function page(request: AppRequest): Promise<AppAnswer> {
    const headers = forwarded(request);
    // One after the other, as the sample does: the order of hops in the evidence is the order of calls.
    const found = await outbound.call('details', '/details/0', { headers });
    const opinions = await outbound.call('reviews', '/reviews/0', { headers });
    const own = hop(settings, request, [found.call, opinions.call]);
    if ((request.headers.accept ?? '').includes('application/json')) {
      return json(200, { product: BOOK, details: found.body, reviews: opinions.body, hop: own });
    }
    const user = sessionUser(request);
    return html(productPage({ user, details: found, reviews: opinions, hop: own }));
  }

  async function api(request: AppRequest, id: string, part: string | undefined): Promise<AppAnswer | null> {
    const headers = forwarded(request);
    if (request.method === 'POST' && part !== undefined) {
      const body = request.body || '{}';
      return relay(request, await outbound.call(part, `/${part}/${id}`, { method: 'POST', headers, body }));
    }
    if (request.method !== 'GET') return null;
    const service = part ?? 'details';
    return relay(request, await outbound.call(service, `/${service}/${id}`, { headers }));
  }

  return (request) => {
    const { method, path } = request;
    const match = API.exec(path);
    if (match?.[1] !== undefined) return api(request, match[1], match[2]);
    if (method === 'POST' && path === '/login') return login(request);
    if (method !== 'GET') return null;
    if (path === '/productpage') return page(request);
    if (path === '/' || path === '/index.html') return html(indexPage(hop(settings, request)));
    if (path === '/logout') return redirect('user=; Path=/; Max-Age=0');
    if (path === '/api/v1/products') return json(200, [BOOK]);
    if (path === '/static/style.css') return { status: 200, contentType: 'text/css; charset=utf-8', body: STYLE };
    return null;
  };
}

const html = (body: string): AppAnswer => ({ status: 200, contentType: 'text/html; charset=utf-8', body });

const redirect = (cookie: string): AppAnswer => ({
  status: 302,
  contentType: 'text/plain',
  body: '',
  headers: { location: '/productpage', 'set-cookie': cookie },
});

/** User names become a cookie and a header, so only what is safe in both is taken. */
const USER = /^[A-Za-z0-9._-]{1,64}$/;

function login(request: AppRequest): AppAnswer {
  const user = new URLSearchParams(request.body).get('username') ?? '';
  return USER.test(user)
    ? redirect(`user=${user}; Path=/; HttpOnly; SameSite=Lax`)
    : redirect('user=; Path=/; Max-Age=0');
}

function sessionUser(request: AppRequest): string {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === 'user' && value !== undefined && USER.test(value)) return value;
  }
  return '';
}
