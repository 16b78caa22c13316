/** Colours and the look of the graph, for the page and for a file. Lane 0 is the baseline. */

const LIGHT = ['#5b6b82', '#0b8a7d', '#7a55d3', '#b86e00', '#c23a6b', '#1f7ac4', '#5c8a1f', '#9a5f3c'];
const DARK = ['#93a4bd', '#35c3b2', '#ab8fff', '#e5a53d', '#f07ba3', '#62b2f5', '#9dcc58', '#d59a72'];

const lanes = (colours: readonly string[]) =>
  colours.map((colour, n) => `.lane-${n} { --lane: ${colour}; }`).join('\n');

const DARK_NAMES = `
  --page: #0f141b; --card: #171e28; --ink: #e4eaf2; --soft: #93a1b5; --line: #2a3442; --band: 9%; --edge: 45%;
  --bad: #ff8578; --good: #4fce92; --warn: #f0b85a; --focus: #7cc0ff; --shade: 0 1px 2px rgb(0 0 0 / .35);`;

export const GRAPH_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f4f6f9; --card: #ffffff; --ink: #1a2433; --soft: #5d6b80; --line: #dce2ea; --band: 7%; --edge: 55%;
  --bad: #c0322a; --good: #15895a; --warn: #b26b00; --focus: #0b66d0; --shade: 0 1px 2px rgb(24 39 75 / .06);
}
${lanes(LIGHT)}
@media (prefers-color-scheme: dark) {
:root {${DARK_NAMES}
}
${lanes(DARK)}
}
.graph { display: block; font: 12px/1.3 ui-sans-serif, system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.graph text { fill: var(--ink); }
.graph .band { fill: color-mix(in srgb, var(--lane) var(--band), var(--card)); }
.graph .edge { fill: var(--lane); opacity: .75; }
.graph .lane-name { font-weight: 650; font-size: 13px; fill: color-mix(in srgb, var(--lane) 70%, var(--ink)); }
.graph .lane-mode { font-size: 11px; fill: var(--soft); }
.graph .line { fill: none; stroke: var(--lane); stroke-linecap: round; opacity: .85; }
.graph .fallback .line { stroke-dasharray: 7 6; }
.graph .nobody .line { stroke: var(--bad); stroke-dasharray: 1.5 6; }
.graph .idle .line { opacity: .22; }
.graph .wire.faint { opacity: .14; }
.graph .box.faint { opacity: .42; }
.graph .hit { fill: none; stroke: transparent; stroke-width: 14; pointer-events: stroke; cursor: pointer; }
.graph .wire:hover .line, .graph .wire.selected .line { opacity: 1; filter: drop-shadow(0 0 3px color-mix(in srgb, var(--lane) 60%, transparent)); }
.graph .card { fill: var(--card); stroke: color-mix(in srgb, var(--lane) var(--edge), var(--line)); stroke-width: 1.2; }
.graph .box { cursor: pointer; }
.graph .box:hover .card { stroke: var(--lane); stroke-width: 1.8; }
.graph .box.selected .card { stroke: var(--lane); stroke-width: 2.6; }
.graph .box.absent .card { stroke-dasharray: 5 4; fill: transparent; }
.graph .box.down .card { stroke: var(--bad); stroke-dasharray: 5 4; }
.graph .name { font-weight: 650; font-size: 13px; }
.graph .about { font-size: 11px; fill: var(--soft); }
.graph .figures { font-size: 11px; font-variant-numeric: tabular-nums; }
.graph .entrance { fill: var(--lane); }
.graph .health { fill: var(--good); }
.graph .partly .health, .graph .failing .health { fill: var(--warn); }
.graph .down .health { fill: var(--bad); }
.graph .absent .health { fill: none; stroke: var(--soft); }
.graph .tag rect { fill: var(--card); stroke: color-mix(in srgb, var(--lane) var(--edge), var(--line)); }
.graph .tag text { font-size: 11px; font-variant-numeric: tabular-nums; }
.graph .tag.failing rect { stroke: var(--bad); }
.graph .tag.failing text { fill: var(--bad); font-weight: 600; }
.graph [tabindex]:focus { outline: none; }
.graph .box:focus-visible .card { stroke: var(--focus); stroke-width: 3; stroke-dasharray: none; }
.graph .wire:focus-visible .line { stroke: var(--focus); opacity: 1; stroke-width: 4; }
`;
