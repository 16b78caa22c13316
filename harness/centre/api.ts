import Type, { type Static, type TSchema } from 'typebox';

/**
 * What the healing centre says and hears: one source of the checks at its door, of the published OpenAPI description and
 * of the types. Unknown keys are refused. Times are milliseconds unless the name says seconds.
 */

export const MAX_BODY_BYTES = 256 * 1024;
/** Rows of one report. */
export const MAX_HOSTS = 512;
export const MAX_SERVICES = 200;
/** No verdict outlives this: an agent that hears nothing more is on its own again. */
export const MAX_VERDICT_MS = 60_000;

const COUNT = { minimum: 0, maximum: 1_000_000_000 } as const;
const Service = Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$', description: 'Name of a service.' });
const Host = Type.String({
  pattern: '^[0-9a-fA-F.:\\[\\]]{3,47}:[0-9]{1,5}$',
  description: '`ip:port` of an instance.',
});
const closed = { additionalProperties: false } as const;

export const HostReportSchema = Type.Object(
  {
    service: Service,
    host: Host,
    requests: Type.Integer({ ...COUNT, description: 'Sent to it since the last report.' }),
    errors: Type.Integer({ ...COUNT, description: 'Of these failed.' }),
    listed: Type.Boolean({ description: 'The agent keeps requests away from it by its own judgement.' }),
  },
  { ...closed, description: 'What one agent saw of one host.' },
);

export const SyncRequestSchema = Type.Object(
  {
    sequence: Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Higher than that of every report before; a repeated one is refused as a replay.',
    }),
    since: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Version of the last answer; verdicts that are newer come back. 0 = all that hold.',
    }),
    services: Type.Array(Service, {
      maxItems: MAX_SERVICES,
      uniqueItems: true,
      description: 'Services that the agent calls: it hears of no others.',
    }),
    hosts: Type.Array(HostReportSchema, { maxItems: MAX_HOSTS }),
  },
  { ...closed, description: 'Deltas up.' },
);

export const VerdictSchema = Type.Object(
  {
    service: Service,
    host: Host,
    verdict: Type.Enum(['quarantine', 'ok', 'restart'], {
      description:
        '`quarantine`: keep away; `restart`: keep away, it is being recovered; `ok`: the centre has nothing against it.',
    }),
    version: Type.Integer({
      minimum: 1,
      description: 'Rises with every verdict of a centre, over restarts and replicas.',
    }),
    expiresInMs: Type.Integer({ minimum: 0, maximum: MAX_VERDICT_MS, description: 'Holds so long after this answer.' }),
    reason: Type.String({ maxLength: 200 }),
  },
  { ...closed, description: 'What is to be done about a host.' },
);

export const SyncAnswerSchema = Type.Object(
  {
    version: Type.Integer({ minimum: 0, description: 'To be sent as `since` the next time.' }),
    verdicts: Type.Array(VerdictSchema),
    refused: Type.Integer({
      minimum: 0,
      description: 'Rows that were not taken: unknown instances, services of others.',
    }),
    nextMs: Type.Integer({ minimum: 100, maximum: 60_000, description: 'When to come again, jittered.' }),
  },
  { ...closed, description: 'Verdicts down.' },
);

export const OrderSchema = Type.Object(
  {
    service: Service,
    host: Host,
    verdict: Type.Enum(['quarantine', 'ok']),
    seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_VERDICT_MS / 1000, description: 'Default 30.' })),
  },
  { ...closed, description: 'A verdict by hand; the bounds hold for it as well.' },
);

export const VerdictListSchema = Type.Object({ verdicts: Type.Array(VerdictSchema) }, closed);
export const ProblemSchema = Type.Object(
  { error: Type.String({ description: 'Which field or credential, what was found, what is expected.' }) },
  closed,
);

export type HostReport = Static<typeof HostReportSchema>;
export type SyncRequest = Static<typeof SyncRequestSchema>;
export type SyncAnswer = Static<typeof SyncAnswerSchema>;
export type VerdictAnswer = Static<typeof VerdictSchema>;
export type Order = Static<typeof OrderSchema>;

const json = (schema: TSchema) => ({ content: { 'application/json': { schema } } });
const problem = (description: string) => ({ description, ...json(ProblemSchema) });
const REFUSALS = {
  400: problem('The body is no JSON or does not fit the schema.'),
  401: problem('No credential, or an unknown one.'),
  403: problem('The credential is of another role.'),
  409: problem('A sequence that was used before: a replay. Or a verdict against the bounds.'),
  413: problem(`A body of more than ${MAX_BODY_BYTES} bytes.`),
  429: problem('Too many requests of one identity.'),
  503: problem('The shared state cannot be reached; nothing was taken.'),
};

/** OpenAPI 3.1. */
export function openApi(version: string): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Causeway healing centre', version },
    security: [{ token: [] }, { certificate: [] }],
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        certificate: { type: 'mutualTLS' },
      },
    },
    paths: {
      '/v1/sync': {
        post: {
          summary: 'An agent reports and hears verdicts.',
          requestBody: { required: true, ...json(SyncRequestSchema) },
          responses: { 200: { description: 'Taken.', ...json(SyncAnswerSchema) }, ...REFUSALS },
        },
      },
      '/v1/verdicts': {
        get: {
          summary: 'Verdicts that hold; operators only.',
          responses: {
            200: { description: 'All of them.', ...json(VerdictListSchema) },
            401: REFUSALS[401],
            403: REFUSALS[403],
            429: REFUSALS[429],
            503: REFUSALS[503],
          },
        },
        post: {
          summary: 'A verdict by hand; operators only.',
          requestBody: { required: true, ...json(OrderSchema) },
          responses: { 200: { description: 'Given.', ...json(VerdictSchema) }, ...REFUSALS },
        },
      },
      '/openapi.json': {
        get: { summary: 'This description.', security: [], responses: { 200: { description: 'OpenAPI 3.1.' } } },
      },
      '/metrics': {
        get: {
          summary: 'Prometheus metrics.',
          security: [],
          responses: { 200: { description: 'Text format 0.0.4.' } },
        },
      },
      '/healthz': {
        get: {
          summary: 'Whether this replica can serve.',
          security: [],
          responses: { 200: { description: 'It can.' }, 503: { description: 'The shared state cannot be reached.' } },
        },
      },
    },
  };
}
