import { addressHigh, addressLow, parseAddress } from 'proxy-wasm-assemblyscript-sdk/config/cidr';
import { isLabelValue } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { equal, indexOfByte, lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Block, inAnyBlock } from './matcher.policy';
import { addressOnly } from './request-values';

/** What an incoming tag is worth. */
export enum TagVerdict {
  /** A tag: a Kubernetes label value. */
  Valid,
  /** Several values in one: the header was sent more than once, or somebody joined two. */
  Duplicate,
  /** No label value. */
  Malformed,
}

/** A comma tells a duplicate, because the host joins repeated headers with one and no tag holds one. */
export function judgeTag(value: Slice): TagVerdict {
  if (isLabelValue(value)) return TagVerdict.Valid;
  return indexOfByte(value, 0x2c) >= 0 ? TagVerdict.Duplicate : TagVerdict.Malformed;
}

/** Whose tag is believed. The X-Forwarded-For header has no part in it. */
@final
export class TrustPolicy {
  constructor(
    /** Believes everybody. */
    readonly all: bool,
    private readonly blocks: StaticArray<Block>,
    private readonly identities: StaticArray<u64>,
  ) {}

  /** Whether `trustsAddress` can be true at all; else the address need not be read. */
  get asksAddress(): bool {
    return this.blocks.length > 0;
  }

  /** The same for `trustsIdentity`. */
  get asksIdentity(): bool {
    return this.identities.length > 0;
  }

  /** `address` with or without port; `NONE` is trusted by nobody. */
  trustsAddress(address: Slice): bool {
    const host = addressOnly(address);
    return parseAddress(host, 0, lenOf(host)) && inAnyBlock(this.blocks, addressHigh, addressLow);
  }

  trustsIdentity(identity: Slice): bool {
    for (let i = 0; i < this.identities.length; i++) {
      if (equal(unchecked(this.identities[i]), identity)) return true;
    }
    return false;
  }
}
