import type { Call, Hop } from './hop.ts';
import type { CallResult } from './outbound.ts';

export const BOOK = {
  id: 0,
  title: 'The Comedy of Errors',
  descriptionHtml:
    '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: The Comedy of Errors is one of <b>William Shakespeare\'s</b> early plays. It is his shortest and one of his most farcical comedies, with a major part of the humour coming from slapstick and mistaken identity, in addition to puns and word play.',
};

export interface PageData {
  user: string;
  details: CallResult;
  reviews: CallResult;
  hop: Hop;
}

/** The book's page: details on the left, reviews on the right, and below them which instances made it. */
export function productPage(data: PageData): string {
  return frame(
    BOOK.title,
    data.user,
    `<section class="hero"><h1>${BOOK.title}</h1><p>${BOOK.descriptionHtml}</p></section>
<div class="columns">
<section class="card"><h2>Book Details</h2>${detailsTable(data.details)}</section>
<section class="card wide"><h2>Book Reviews</h2>${reviewList(data.reviews)}</section>
</div>
<section class="card path"><h2>Served by</h2>${tree(data.hop)}</section>
<script type="application/json" id="evidence">${JSON.stringify(data.hop).replaceAll('<', '\\u003c')}</script>`,
  );
}

export function indexPage(own: Hop): string {
  return frame(
    'Bookinfo',
    '',
    `<section class="hero"><h1>Bookinfo</h1><p>A small shop of one book and four services, shaped like Istio's sample:
productpage asks details and reviews, reviews asks ratings.</p><p><a class="button" href="/productpage">See the book</a></p></section>
<section class="card path"><h2>Served by</h2>${tree(own)}</section>`,
  );
}

function detailsTable({ call, body }: CallResult): string {
  if (call.status !== 200 || !body) return unavailable('product details', call);
  const rows: readonly (readonly [label: string, key: string])[] = [
    ['Type', 'type'],
    ['Pages', 'pages'],
    ['Publisher', 'publisher'],
    ['Language', 'language'],
    ['ISBN-10', 'ISBN-10'],
    ['ISBN-13', 'ISBN-13'],
  ];
  return `<table>${rows.map(([label, key]) => `<tr><th>${label}</th><td>${escapeHtml(body[key])}</td></tr>`).join('')}</table>`;
}

interface Review {
  reviewer: string;
  text: string;
  rating?: { stars?: number; color?: string; error?: string };
}

function reviewList({ call, body }: CallResult): string {
  if (call.status !== 200 || !body) return unavailable('product reviews', call);
  const reviews = body.reviews as Review[];
  return reviews
    .map(
      ({ reviewer, text, rating }) =>
        `<blockquote><p>${escapeHtml(text)}</p><footer>${escapeHtml(reviewer)} ${rating ? stars(rating) : ''}</footer></blockquote>`,
    )
    .join('');
}

function stars({ stars: count = 0, color = 'black', error }: NonNullable<Review['rating']>): string {
  if (error !== undefined) return `<span class="missing">${escapeHtml(error)}</span>`;
  const full = Math.max(0, Math.min(5, Math.round(count)));
  return `<span class="stars ${escapeHtml(color)}" aria-label="${full} of 5 stars">${'★'.repeat(full)}<i>${'★'.repeat(5 - full)}</i></span>`;
}

function unavailable(what: string, call: Call): string {
  const why = call.status === 0 ? 'no answer' : `status ${call.status}`;
  return `<p class="missing">Sorry, ${what} are currently unavailable for this book (${why}).</p>`;
}

function tree(hop: Hop): string {
  const calls = hop.calls.map((call) =>
    call.hop
      ? tree(call.hop)
      : `<ul><li><span class="node bad">${escapeHtml(call.service)} <small>status ${call.status}</small></span></li></ul>`,
  );
  const name = `<b>${escapeHtml(hop.service)}</b> ${escapeHtml(hop.version)} <small>${escapeHtml(hop.instance)}</small>`;
  return `<ul><li><span class="node">${name}</span>${calls.join('')}</li></ul>`;
}

function frame(title: string, user: string, content: string): string {
  const session =
    user === ''
      ? `<form method="post" action="/login"><input name="username" placeholder="user name, such as dev2" aria-label="user name"><button>Sign in</button></form>`
      : `<span class="user">${escapeHtml(user)}</span> <a href="/logout">sign out</a>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><link rel="stylesheet" href="/static/style.css"></head>
<body><header><a class="brand" href="/">Bookinfo</a><nav>${session}</nav></header><main>${content}</main></body></html>
`;
}

function escapeHtml(value: unknown): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(value ?? '').replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

export const STYLE = `
:root { --ink: #1d2433; --soft: #68728a; --line: #e3e7ef; --paper: #fff; --ground: #f5f7fb; --accent: #2b5fd9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
header { display: flex; justify-content: space-between; align-items: center; gap: 1rem; padding: .8rem 6vw; background: var(--ink); color: #fff; }
header a { color: #fff; } .brand { font-weight: 700; text-decoration: none; letter-spacing: .02em; }
nav form { display: flex; gap: .5rem; } input { padding: .45rem .7rem; border: 0; border-radius: 6px; min-width: 14rem; }
button, .button { padding: .45rem .9rem; border: 0; border-radius: 6px; background: var(--accent); color: #fff; font: inherit; text-decoration: none; cursor: pointer; }
.user { background: #ffffff22; border-radius: 99px; padding: .2rem .8rem; }
main { max-width: 70rem; margin: 0 auto; padding: 2rem 6vw; display: grid; gap: 1.5rem; }
.hero h1 { font-size: 2.2rem; line-height: 1.15; margin: 0 0 .6rem; } .hero p { max-width: 46rem; margin: 0 0 .6rem; color: var(--soft); }
.columns { display: grid; gap: 1.5rem; grid-template-columns: minmax(15rem, 1fr) 2fr; }
@media (max-width: 46rem) { .columns { grid-template-columns: 1fr; } header { flex-wrap: wrap; } }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.4rem; }
h2 { margin: 0 0 .8rem; font-size: 1.05rem; } table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--soft); padding: .3rem 1rem .3rem 0; } td { padding: .3rem 0; }
blockquote { margin: 0 0 1.1rem; } blockquote p { margin: 0 0 .2rem; } blockquote footer { color: var(--soft); }
.stars { font-size: 1.15rem; letter-spacing: .1em; } .stars.red { color: #d6293e; } .stars.black { color: var(--ink); } .stars i { color: var(--line); }
.missing { color: #b3261e; } .path ul { list-style: none; margin: 0; padding-left: 1.4rem; border-left: 2px solid var(--line); } .path > ul { padding: 0; border: 0; }
.path li { margin: .35rem 0; } .node { display: inline-block; background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: .2rem .7rem; }
.node.bad { border-color: #b3261e; color: #b3261e; } small { color: var(--soft); }
`;
