import type { EmulatedHost } from '../emulator/index.ts';

/** What the agent publishes about CPU pressure, 0–1,000; it holds for three of its periods of a second. */
export function publishPressure(host: EmulatedHost, perMille: number): void {
  const state = Buffer.alloc(32);
  state.writeUInt32LE(1, 0);
  state.writeBigUInt64LE(host.clock.now, 8);
  state.writeUInt32LE(1000, 16);
  state.writeInt32LE(perMille, 20);
  host.sharedData.set('causeway', 'v1/agent/state', state.toString('latin1'), 0);
}
