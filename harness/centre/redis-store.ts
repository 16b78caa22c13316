import { Redis } from 'ioredis';
import {
  type HostKey,
  type Isolation,
  keyFrom,
  keyOf,
  merged,
  type Row,
  type Store,
  type Verdict,
  WINDOW_MS,
} from './store.ts';

/**
 * The state of several replicas, in Redis. Every command has a deadline and none is queued while Redis is away: a
 * replica then answers 503 instead of growing. What must not be torn is one script or one command.
 */

const P = 'causeway:';
const COMMAND_MS = 2_000;
const WEEK_S = 7 * 24 * 3600;

/** KEYS[1] the identity's sequence; ARGV[1] the new one. */
const ACCEPT = `
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) <= last then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ${WEEK_S})
return 1`;

/** KEYS: version, verdicts or isolations. ARGV: least version, field, the entry's JSON with the version left out as @. */
const DECIDE = `
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', version))
redis.call('HSET', KEYS[2], ARGV[2], (string.gsub(ARGV[3], '"@"', string.format('%.0f', version))))
return string.format('%.0f', version)`;

/** KEYS[1] the lease; ARGV: who, for how long. */
const LEAD = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS[1] a sorted set of times; ARGV: now, window, limit, member. */
const SPEND = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[1]) - tonumber(ARGV[2]))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`;

export class RedisStore implements Store {
  readonly #redis: Redis;

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** @throws when Redis cannot be reached at first; later failures reject the single call */
  static async connect(url: string): Promise<RedisStore> {
    const redis = new Redis(url, {
      lazyConnect: true,
      commandTimeout: COMMAND_MS,
      connectTimeout: COMMAND_MS,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: (times) => Math.min(times * 100, 1_000),
    });
    // Each failed command says so to its caller; without a listener the client would print it.
    redis.on('error', () => undefined);
    try {
      await redis.connect();
    } catch (error) {
      redis.disconnect();
      throw new Error(`REDIS_URL: cannot connect: ${error instanceof Error ? error.message : String(error)}`);
    }
    return new RedisStore(redis);
  }

  async accept(identity: string, sequence: number): Promise<boolean> {
    return (await this.#redis.eval(ACCEPT, 1, `${P}sequence:${identity}`, sequence)) === 1;
  }

  async put(identity: string, rows: readonly (HostKey & Omit<Row, 'at'>)[], now: number): Promise<void> {
    if (rows.length === 0) return;
    const before = this.#redis.pipeline();
    for (const row of rows) before.hget(`${P}rows:${keyOf(row)}`, identity);
    const known = (await before.exec()) ?? [];
    const batch = this.#redis.pipeline();
    for (const [i, row] of rows.entries()) {
      const key = `${P}rows:${keyOf(row)}`;
      const [, text] = known[i] ?? [];
      const earlier = typeof text === 'string' ? (JSON.parse(text) as Row) : undefined;
      batch.hset(key, identity, JSON.stringify(merged(earlier, row, now)));
      batch.pexpire(key, 2 * WINDOW_MS);
      if (row.listed) batch.zadd(`${P}suspects`, now, keyOf(row));
    }
    for (const [error] of (await batch.exec()) ?? []) if (error) throw error;
  }

  async suspects(now: number): Promise<HostKey[]> {
    await this.#redis.zremrangebyscore(`${P}suspects`, '-inf', now - WINDOW_MS);
    return (await this.#redis.zrange(`${P}suspects`, 0, -1)).map(keyFrom);
  }

  async rows(key: HostKey, now: number): Promise<ReadonlyMap<string, Row>> {
    const all = Object.entries(await this.#redis.hgetall(`${P}rows:${keyOf(key)}`));
    const parsed = all.map(([identity, text]) => [identity, JSON.parse(text) as Row] as const);
    return new Map(parsed.filter(([, row]) => now - row.at <= WINDOW_MS));
  }

  async decide(verdict: Omit<Verdict, 'version'>): Promise<Verdict> {
    return { ...verdict, version: await this.#give('verdicts', keyOf(verdict), verdict) };
  }

  async #give(hash: string, field: string, entry: object): Promise<number> {
    const body = JSON.stringify({ ...entry, version: '@' });
    return Number(await this.#redis.eval(DECIDE, 2, `${P}version`, `${P}${hash}`, Date.now(), field, body));
  }

  async isolate(order: Omit<Isolation, 'version' | 'heard'>): Promise<Omit<Isolation, 'heard'>> {
    return { ...order, version: await this.#give('isolations', order.instance, order) };
  }

  async isolations(): Promise<Isolation[]> {
    const all = Object.values(await this.#redis.hgetall(`${P}isolations`));
    if (all.length === 0) return [];
    const heard = await this.#redis.hgetall(`${P}isolations.heard`);
    return all
      .map((text) => JSON.parse(text) as Omit<Isolation, 'heard'>)
      .map((one) => ({ ...one, heard: Number(heard[one.instance] ?? 0) }));
  }

  async heard(instance: string, version: number): Promise<void> {
    await this.#redis.hset(`${P}isolations.heard`, instance, version);
  }

  async verdicts(now: number): Promise<Verdict[]> {
    const all = Object.entries(await this.#redis.hgetall(`${P}verdicts`));
    const parsed = all.map(([field, text]) => ({ field, verdict: JSON.parse(text) as Verdict }));
    const dead = parsed.filter(({ verdict }) => verdict.expires <= now).map(({ field }) => field);
    if (dead.length > 0) await this.#redis.hdel(`${P}verdicts`, ...dead);
    return parsed.map(({ verdict }) => verdict).filter(({ expires }) => expires > now);
  }

  async lead(id: string, ms: number): Promise<boolean> {
    return (await this.#redis.eval(LEAD, 1, `${P}leader`, id, ms)) === 1;
  }

  async spend(what: string, limit: number, windowMs: number, now: number): Promise<boolean> {
    const member = `${now}:${Math.random()}`;
    return (await this.#redis.eval(SPEND, 1, `${P}spent:${what}`, now, windowMs, limit, member)) === 1;
  }

  close(): Promise<void> {
    this.#redis.disconnect();
    return Promise.resolve();
  }
}
