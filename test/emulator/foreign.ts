import { deflateSync, inflateSync } from 'node:zlib';
import { type Bytes, binary, bytesOf, u32le } from './bytes.ts';
import type { Context } from './context.ts';
import { type Property, serializeProperty } from './properties.ts';
import { Status } from './status.ts';

export interface ForeignOutcome {
  readonly status: Status;
  /** Binary string; undefined = the function allocates no result. */
  readonly result?: string;
}
export type ForeignFunction = (argument: string, context: Context) => ForeignOutcome;

/** Value of an expression for a stream; undefined = an error, such as a header that is not there (status 10). */
export type Expression = (context: Context) => Property;

/** Envoy's foreign functions. CEL is not evaluated: a test says what each expression means. */
export class ForeignFunctions {
  #functions = new Map<string, ForeignFunction>();
  #expressions = new Map<string, Expression>();
  /** Tokens belong to a root context, as in Envoy. */
  #tokens = new WeakMap<object, Map<number, Expression>>();

  constructor() {
    this.define('clear_route_cache', (_argument, context) => {
      context.clearRouteCache();
      return { status: Status.Ok };
    });
    this.define('compress', (argument) => ({ status: Status.Ok, result: binary(deflateSync(bytesOf(argument))) }));
    this.define('uncompress', (argument) => {
      try {
        return { status: Status.Ok, result: binary(inflateSync(bytesOf(argument))) };
      } catch {
        return { status: Status.SerializationFailure };
      }
    });
    this.define('expr_create', (argument, context) => this.#create(argument, context));
    this.define('expr_evaluate', (argument, context) => this.#evaluate(argument, context));
    this.define('expr_delete', (argument, context) => {
      if (argument.length !== 4) return { status: Status.BadArgument };
      this.#of(context).delete(tokenOf(argument));
      return { status: Status.Ok };
    });
  }

  /** Adds or replaces a function. */
  define(name: string, run: ForeignFunction): void {
    this.#functions.set(name, run);
  }

  /** Says what the CEL `text` means; a text that no test has explained does not parse. */
  explain(text: Bytes, meaning: Expression): void {
    this.#expressions.set(binary(text), meaning);
  }

  /** Undefined when there is no such function. */
  call(name: string, argument: string, context: Context): ForeignOutcome | undefined {
    return this.#functions.get(name)?.(argument, context);
  }

  #of(context: Context): Map<number, Expression> {
    const owner = context.root ?? context;
    let tokens = this.#tokens.get(owner);
    if (tokens === undefined) {
      tokens = new Map();
      this.#tokens.set(owner, tokens);
    }
    return tokens;
  }

  #create(text: string, context: Context): ForeignOutcome {
    const meaning = this.#expressions.get(text);
    if (meaning === undefined) return { status: Status.BadArgument };
    const tokens = this.#of(context);
    let token = 0;
    while (tokens.has(token)) token++;
    tokens.set(token, meaning);
    return { status: Status.Ok, result: u32le(token) };
  }

  #evaluate(argument: string, context: Context): ForeignOutcome {
    if (argument.length !== 4) return { status: Status.BadArgument };
    const meaning = this.#of(context).get(tokenOf(argument));
    if (meaning === undefined) return { status: Status.NotFound };
    const result = serializeProperty(meaning(context));
    return result === undefined ? { status: Status.InternalFailure } : { status: Status.Ok, result };
  }
}

function tokenOf(argument: string): number {
  return Buffer.from(argument, 'latin1').readUInt32LE(0);
}
