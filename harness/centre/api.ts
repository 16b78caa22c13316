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
const Sequence = (of: string) =>
  Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `Higher than that of every ${of} before; a repeated one is refused as a replay.`,
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
    sequence: Sequence('report'),
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

const InstanceId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$', description: 'Id of an instance.' });
const Version = Type.Integer({ minimum: 0, description: 'Rises with every order, over restarts and replicas.' });

export const IsolationOrderSchema = Type.Object(
  {
    sequence: Sequence('order'),
    instance: InstanceId,
    isolated: Type.Boolean({ description: 'true: no requests for it; false: let it back in.' }),
    force: Type.Optional(Type.Boolean({ description: 'Also where no other instance of the service answers.' })),
  },
  { ...closed, description: 'Takes an instance out of traffic, or lets it back in.' },
);

export const IsolationStateSchema = Type.Object(
  {
    instance: InstanceId,
    isolated: Type.Boolean(),
    version: Version,
    by: Type.String({ description: 'Whose order it is.' }),
    at: Type.Integer({ description: 'When it was given, ms since 1970.' }),
    heard: Type.Boolean({ description: 'The agent of the instance has taken it over.' }),
  },
  closed,
);

export const IsolationAnswerSchema = Type.Object(
  {
    instance: InstanceId,
    isolated: Type.Boolean(),
    version: Type.Integer({ minimum: 0, description: 'To be sent as `known` the next time; 0 = no order is known.' }),
    expiresInMs: Type.Integer({ minimum: 0, maximum: MAX_VERDICT_MS, description: 'Holds so long after this answer.' }),
  },
  { ...closed, description: 'What an agent is to know of its instance.' },
);

export const IsolationListSchema = Type.Object({ isolations: Type.Array(IsolationStateSchema) }, closed);
export const VerdictListSchema = Type.Object({ verdicts: Type.Array(VerdictSchema) }, closed);
export const ProblemSchema = Type.Object(
  { error: Type.String({ description: 'Which field or credential, what was found, what is expected.' }) },
  closed,
);

export type HostReport = Static<typeof HostReportSchema>;
export type SyncRequest = Static<typeof SyncRequestSchema>;
export type SyncAnswer = Static<typeof SyncAnswerSchema>;
export type VerdictAnswer = Static<typeof VerdictSchema>;
export type IsolationOrder = Static<typeof IsolationOrderSchema>;
export type IsolationState = Static<typeof IsolationStateSchema>;
export type IsolationAnswer = Static<typeof IsolationAnswerSchema>;
export type Order = Static<typeof OrderSchema>;

const json = (schema: TSchema) => ({ content: { 'application/json': { schema } } });
const problem = (description: string) => ({ description, ...json(ProblemSchema) });
const REFUSALS = {
  400: problem('The body is no JSON or does not fit the schema.'),
  401: problem('No credential, or an unknown one.'),
  403: problem('The credential is of another role, or of another instance.'),
  409: problem('A sequence that was used before: a replay. Or what the bounds forbid, or an unknown instance.'),
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
      '/v1/isolations': {
        get: {
          summary: 'The last order on each instance; operators only.',
          responses: {
            200: { description: 'All of them.', ...json(IsolationListSchema) },
            401: REFUSALS[401],
            403: REFUSALS[403],
            429: REFUSALS[429],
            503: REFUSALS[503],
          },
        },
        post: {
          summary: 'Isolates an instance, or lets it back in; operators only.',
          requestBody: { required: true, ...json(IsolationOrderSchema) },
          responses: { 200: { description: 'Taken.', ...json(IsolationStateSchema) }, ...REFUSALS },
        },
      },
      '/v1/isolations/{instance}': {
        get: {
          summary: 'What the agent of an instance is to know; answered when it is something new, or after 20 s.',
          parameters: [
            { name: 'instance', in: 'path', required: true, schema: InstanceId },
            {
              name: 'known',
              in: 'query',
              schema: { ...Version, description: 'Version of the last answer; default 0.' },
            },
          ],
          responses: {
            200: { description: 'What holds.', ...json(IsolationAnswerSchema) },
            400: problem('`known` is no version.'),
            401: REFUSALS[401],
            403: REFUSALS[403],
            409: problem('An unknown instance.'),
            429: REFUSALS[429],
            503: REFUSALS[503],
          },
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
