/** A worker leases a slot on its tick and says which. */
import { logInfo, now, RootContext, register, Slice, setTickPeriod, WorkerSlot } from 'proxy-wasm-assemblyscript-sdk';

const TICK_MS: u32 = 1000;

class SlotsPlugin extends RootContext {
  slot: WorkerSlot = new WorkerSlot('v1/worker', (TICK_MS as u64) * 1000000);
  said: i32 = -2;

  onConfigure(configuration: Slice): bool {
    this.slot.prepare();
    setTickPeriod(TICK_MS);
    return true;
  }

  onTick(): void {
    const index = this.slot.beat(now());
    if (index !== this.said) logInfo('slot ' + index.toString());
    this.said = index;
  }
}

register('slots', () => new SlotsPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
