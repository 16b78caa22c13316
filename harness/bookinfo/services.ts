import { type AppRequest, type Handler, json } from './app.ts';
import { END_USER, FORWARDED_HEADERS, passOn } from './forward.ts';
import type { Hop } from './hop.ts';
import type { Outbound } from './outbound.ts';
import type { Settings } from './settings.ts';

/** This instance's own hop with the calls it made. */
export function hop(settings: Settings, request: AppRequest, calls: Hop['calls'] = []): Hop {
  const { service, version, instance } = settings;
  return { service, version, instance, trace: request.headers['x-request-id'] ?? '', calls };
}

/** The number at the end of `/<name>/<number>`, or null when the path is not of that form. */
export function productId(path: string, name: string): number | null {
  const match = new RegExp(`^/${name}/([0-9]{1,9})$`).exec(path);
  return match ? Number(match[1]) : null;
}

/** `GET /details/<id>`: the facts about a book. */
export function details(settings: Settings): Handler {
  return (request) => {
    const { method, path } = request;
    const id = productId(path, 'details');
    if (id === null || method !== 'GET') return null;
    return json(200, {
      id,
      author: 'William Shakespeare',
      year: 1595,
      type: 'paperback',
      pages: 200,
      publisher: 'PublisherA',
      language: 'English',
      'ISBN-10': '1234567890',
      'ISBN-13': '123-1234567890',
      hop: hop(settings, request),
    });
  };
}

/** `GET /ratings/<id>` and `POST /ratings/<id>`, kept in memory. */
export function ratings(settings: Settings): Handler {
  const added = new Map<number, unknown>();
  return (request) => {
    const { method, path, body } = request;
    const id = productId(path, 'ratings');
    if (id === null || (method !== 'GET' && method !== 'POST')) return null;
    if (method === 'POST') {
      try {
        const { post: _, ...stars } = JSON.parse(body) as Record<string, unknown>;
        if (Object.keys(stars).length > 0) added.set(id, stars);
      } catch {
        return json(400, { error: 'please provide valid ratings JSON', hop: hop(settings, request) });
      }
    }
    return json(200, { id, ratings: added.get(id) ?? { Reviewer1: 5, Reviewer2: 4 }, hop: hop(settings, request) });
  };
}

const TEXTS: readonly (readonly [reviewer: string, text: string])[] = [
  ['Reviewer1', 'An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!'],
  [
    'Reviewer2',
    'Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.',
  ],
];

/** Colour of the stars by version: v1 shows none and asks for no ratings. */
const STAR_COLOURS: Readonly<Record<string, string>> = { v2: 'black', v3: 'red' };

/** `GET /reviews/<id>` asks ratings for stars; `POST /reviews/<id>` takes a review and rates it there. */
export function reviews(settings: Settings, outbound: Outbound): Handler {
  const color = STAR_COLOURS[settings.version];
  const names = [...FORWARDED_HEADERS, END_USER, ...settings.forwardExtra];
  return async (request: AppRequest) => {
    const id = productId(request.path, 'reviews');
    if (id === null || (request.method !== 'GET' && request.method !== 'POST')) return null;
    const base = { id: String(id), podname: settings.instance, clustername: 'causeway' };
    if (color === undefined) {
      return json(200, {
        ...base,
        reviews: TEXTS.map(([reviewer, text]) => ({ reviewer, text })),
        hop: hop(settings, request),
      });
    }
    const { call, body } = await outbound.call('ratings', `/ratings/${id}`, {
      headers: passOn(request.headers, names, settings.ownSpans),
      ...(request.method === 'POST' ? { method: 'POST', body: request.body || '{}' } : {}),
    });
    const stars = call.status === 200 ? (body?.ratings as Record<string, number> | undefined) : undefined;
    const shown = TEXTS.map(([reviewer, text]) => {
      const rating = stars
        ? { stars: stars[reviewer] ?? 0, color }
        : { error: 'Ratings service is currently unavailable' };
      return { reviewer, text, rating };
    });
    return json(200, { ...base, reviews: shown, hop: hop(settings, request, [call]) });
  };
}
