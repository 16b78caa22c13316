import type { Measured } from '../figures/figures.ts';
import type { Step } from './growth.ts';
import type { LatencyFigures } from './latency.ts';
import { NAMES, type Profile } from './profiles.ts';
import { type ByVariant, micros, microsOver } from './report.ts';
import type { IdleFigures, MemoryFigures } from './resources.ts';
import type { Case } from './rig.ts';
import { middle, type Sample } from './rounds.ts';
import { pairedRatio } from './stats.ts';
import { WORKERS, type WorkersCase } from './workers.ts';

/** From samples to the figures of build/bench.json. Their targets are in test/targets.json. */

const MICROS = 'µs/request';

export function profileFigures(profiles: readonly { name: Profile; of: ByVariant }[]): Measured[] {
  return profiles.flatMap(({ name: profile, of }) => {
    const cost = (name: string): number | null => {
      const samples = of.get(name);
      return samples === undefined ? null : middle(samples).micros;
    };
    const peers = (...names: string[]) => Object.fromEntries(names.map((name) => [name, cost(name)]));
    const each = [...of].flatMap(([name, samples]): Measured[] => {
      const mid = middle(samples);
      return [
        { name: `${name}, ${profile}`, metric: 'CPU', value: mid.micros, unit: MICROS },
        { name: `${name}, ${profile}`, metric: 'instructions', value: mid.kiloInstructions, unit: 'thousand/request' },
      ];
    });
    const over = (name: string, base: string, label: string, ...beside: string[]): Measured => {
      const value = microsOver(of, name, base);
      return {
        name: `${name}, ${profile}`,
        metric: `CPU over ${label}`,
        value,
        unit: MICROS,
        peers: peers(base, ...beside),
      };
    };
    const instructions = (name: string): number => middle(of.get(name) ?? []).kiloInstructions;
    return [
      {
        name: `${NAMES.fused}, ${profile}`,
        metric: 'instructions over floor',
        value: instructions(NAMES.fused) - instructions(NAMES.floor),
        unit: 'thousand/request',
        peers: { [NAMES.floor]: instructions(NAMES.floor), [NAMES.none]: instructions(NAMES.none) },
      },
      over(NAMES.fused, NAMES.floor, 'floor', NAMES.none),
      ...(of.has(NAMES.whole) ? [over(NAMES.whole, NAMES.floor, 'floor', NAMES.fused)] : []),
      ...(of.has(NAMES.trace) ? [over(NAMES.trace, NAMES.rust, 'Rust peer', NAMES.floor)] : []),
      ...(of.has(NAMES.lua) ? [over(NAMES.tagging, NAMES.lua, 'stock Lua', NAMES.floor)] : []),
      ...each,
    ];
  });
}

/** Cost of a size over that of the smallest one, by the rounds in which both were measured. */
export function growthFigures(samples: ReadonlyMap<Step, readonly Sample[]>): Measured[] {
  const of = (axis: Step['axis'], size: number): number[] =>
    micros([...samples].find(([step]) => step.axis === axis && step.size === size)?.[1]);
  const ratio = (axis: Step['axis'], size: number, base: number): number => pairedRatio(of(axis, size), of(axis, base));
  const instances = { fused: ratio('instances', 1_000, 10), none: ratio('instances, no filter', 1_000, 10) };
  return [
    {
      name: 'lanes',
      metric: 'CPU of 1,000 over 1',
      value: ratio('lanes', 1_000, 1),
      unit: 'ratio',
      peers: { '100 over 1': ratio('lanes', 100, 1) },
    },
    {
      name: 'instances',
      metric: 'CPU of 1,000 over 10, beside no filter',
      value: instances.fused / instances.none,
      unit: 'ratio',
      peers: { [NAMES.fused]: instances.fused, [NAMES.none]: instances.none },
    },
    ...[30, 300].map((count) => {
      return { name: 'rules', metric: `CPU of ${count} over 1`, value: ratio('rules', count, 1), unit: 'ratio' };
    }),
    ...[...samples].flatMap(([{ axis, size }, list]): Measured[] => {
      const mid = middle(list);
      return [
        { name: `${axis}: ${size}`, metric: 'CPU', value: mid.micros, unit: MICROS },
        { name: `${axis}: ${size}`, metric: 'instructions', value: mid.kiloInstructions, unit: 'thousand/request' },
      ];
    }),
  ];
}

export function workersFigures(samples: ReadonlyMap<WorkersCase, readonly Sample[]>): Measured[] {
  const of = (filter: WorkersCase['filter'], workers: number): number[] =>
    micros([...samples].find(([one]) => one.filter === filter && one.workers === workers)?.[1]);
  return WORKERS.filter((workers) => workers > 1).map((workers) => {
    const trace = pairedRatio(of('trace', workers), of('trace', 1));
    const floor = pairedRatio(of('floor', workers), of('floor', 1));
    return {
      name: 'workers',
      metric: `CPU of ${workers} over 1, beside empty wasm`,
      value: trace / floor,
      unit: 'ratio',
      peers: { [NAMES.trace]: trace, [NAMES.floor]: floor },
    };
  });
}

export function latencyFigures(latencies: ReadonlyMap<Case, LatencyFigures>): Measured[] {
  const of = (name: string): LatencyFigures | undefined =>
    [...latencies].find(([{ variant }]) => variant.name === name)?.[1];
  const fused = of(NAMES.fused);
  const none = of(NAMES.none);
  return (['p50', 'p99'] as const).map((metric) => ({
    name: 'one hop at 200 requests/s',
    metric: `${metric} added by the fused suite`,
    value: (fused?.[metric] ?? Number.NaN) - (none?.[metric] ?? Number.NaN),
    unit: 'ms',
    peers: { [NAMES.fused]: fused?.[metric] ?? null, [NAMES.none]: none?.[metric] ?? null },
  }));
}

export function resourceFigures(found: MemoryFigures & IdleFigures & { size: number }): Measured[] {
  return [
    { name: 'causeway.wasm', metric: 'size without name section', value: found.size, unit: 'bytes' },
    { name: 'VM of one role on one worker', metric: 'memory', value: found.vmKib, unit: 'KiB' },
    { name: 'trace map of 65,536 entries', metric: 'memory', value: found.mapMib, unit: 'MiB' },
    {
      name: 'clusters',
      metric: 'idle CPU of 200 over 1',
      value: found.many - found.one,
      unit: '% of a core',
      peers: { '1 cluster': found.one, '200 clusters': found.many },
    },
  ];
}
