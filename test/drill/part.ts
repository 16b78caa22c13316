import type { Measured } from '../figures/figures.ts';

/** One line of a drill's table: what was done, and what came of it beside the peer. */
export interface Row {
  readonly drill: string;
  readonly figure: string;
  readonly causeway: string;
  readonly peer: string;
}

export interface Outcome {
  readonly rows: readonly Row[];
  readonly measured: readonly Measured[];
}

/** A sub-table of `make drill`. */
export interface Part {
  readonly name: string;
  /** Name of the peer's column. */
  readonly peer: string;
  /** `said` gets each row as soon as it is there. */
  run(said: (row: Row) => void): Promise<Outcome>;
}

export function table(part: Part, rows: readonly Row[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const head = ['drill', 'figure', 'causeway', part.peer];
  const body = rows.map(({ drill, figure, causeway, peer }) => line([drill, figure, causeway, peer]));
  return [line(head), line(head.map(() => '---')), ...body].join('\n');
}

/** Every figure of a part's rows, by what was measured. */
export class Sheet {
  readonly rows: Row[] = [];
  readonly measured: Measured[] = [];
  readonly #said: (row: Row) => void;
  readonly #peerName: string;

  constructor(peerName: string, said: (row: Row) => void) {
    this.#peerName = peerName;
    this.#said = said;
  }

  /** `peer` undefined: nothing beside it does this job. */
  add(drill: string, figure: string, unit: string, value: number, peer?: number): void {
    const shown = (one: number) => `${Number(one.toPrecision(3))} ${unit}`;
    const row = { drill, figure, causeway: shown(value), peer: peer === undefined ? '–' : shown(peer) };
    this.rows.push(row);
    this.measured.push({
      name: drill,
      metric: figure,
      value,
      unit,
      ...(peer === undefined ? {} : { peers: { [this.#peerName]: peer } }),
    });
    this.#said(row);
  }
}
