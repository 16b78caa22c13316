import type { History, Topology } from '../model.ts';

/** All that the page shows comes from here. */
export interface State {
  topology: Topology | undefined;
  /** `ended`: the server is there, the mesh is not. */
  connection: 'connecting' | 'live' | 'lost' | 'ended';
  /** `edge:<id>` or `place:<id>`. */
  selected: string | undefined;
  /** Only this lane's calls are shown strongly. */
  lane: string | undefined;
  /** Of what is selected. */
  history: History | undefined;
  /** Point of the charts that is read out, counted from the newest; undefined = none. */
  reading: number | undefined;
}

/** What the selection is about: its edge, or its place, if it is still there. */
export function selection({ topology, selected }: State) {
  const cut = selected?.indexOf(':') ?? -1;
  if (topology === undefined || selected === undefined || cut < 0) return undefined;
  const id = selected.slice(cut + 1);
  if (selected.startsWith('edge:')) {
    const edge = topology.edges.find((known) => known.id === id);
    return edge && { edge, id };
  }
  const place = topology.places.find((known) => known.id === id);
  return place && { place, id };
}

/** Where the history of what is selected is to be had. */
export function historyUrl(state: State): string | undefined {
  const chosen = selection(state);
  if (chosen === undefined) return undefined;
  return 'edge' in chosen && chosen.edge
    ? `history.json?edge=${encodeURIComponent(chosen.id)}`
    : `history.json?service=${encodeURIComponent(chosen.place?.service ?? '')}`;
}
