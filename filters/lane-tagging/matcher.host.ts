import {
  ascii,
  callForeign,
  getProperty,
  lenOf,
  logError,
  NONE,
  propertyPath,
  ptrOf,
  Slice,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { header, method, path, sticky } from '../exchange';
import { CelHost } from './matcher.config';
import { MatchPlan, MatchSource } from './matcher.policy';

/** The request of the current callback as matchers see it, and expressions evaluated by Envoy. */

const SOURCE_ADDRESS = propertyPath('source.address');
const URI_NAME = propertyPath('connection.uri_san_peer_certificate');
const SUBJECT = propertyPath('connection.subject_peer_certificate');

const CREATE = ascii('expr_create');
const EVALUATE = ascii('expr_evaluate');
const DELETE = ascii('expr_delete');

/** A token as the foreign functions take it: 4 bytes, little endian. */
const TOKEN = memory.data(4, 4);

function tokenArgument(token: u32): Slice {
  store<u32>(TOKEN, token);
  return slice(TOKEN, 4);
}

/** Source address of the connection, with port; `NONE` on a Unix socket as far as the host tells. */
export function sourceAddress(): Slice {
  return getProperty(SOURCE_ADDRESS);
}

/** First URI name in the caller's certificate, else its subject; `NONE` without a certificate. */
export function callerIdentity(): Slice {
  const name = getProperty(URI_NAME);
  if (lenOf(name) > 0) return name;
  const subject = getProperty(SUBJECT);
  return lenOf(subject) > 0 ? subject : NONE;
}

@final
export class StreamSource extends MatchSource {
  header(name: Slice): Slice {
    return header(name);
  }

  path(): Slice {
    return path();
  }

  method(): Slice {
    return method();
  }

  address(): Slice {
    return sourceAddress();
  }

  identity(): Slice {
    return callerIdentity();
  }

  sticky(): u64 {
    return sticky();
  }

  /** Only the boolean true, one byte 1, is a match; an error, such as a header that is not there, is none. */
  cel(token: u32): bool {
    const answer = callForeign(EVALUATE, tokenArgument(token));
    return lenOf(answer) === 1 && load<u8>(ptrOf(answer)) === 1;
  }
}

@final
export class EnvoyCel extends CelHost {
  /** Tokens belong to the root context that is being configured. */
  create(expression: Slice): i64 {
    const answer = callForeign(CREATE, expression);
    return lenOf(answer) === 4 ? (load<u32>(ptrOf(answer)) as i64) : -1;
  }

  drop(token: u32): void {
    const argument = tokenArgument(token);
    if (callForeign(DELETE, argument) === NONE) logError(`causeway: expression ${token} was not there to be deleted`);
  }
}

/** Deletes the expressions of a plan that no request will use any more. Callable while its root context still lives. */
export function dropExpressions(plan: MatchPlan): void {
  const cel = new EnvoyCel();
  for (let i = 0; i < plan.tokens.length; i++) cel.drop(plan.tokens[i]);
}
