/** One in how many of a full-size run is done: `CAUSEWAY_SCALE`, 20 unless said, 1 = full size. */
export function scale(): number {
  const given = Number(process.env.CAUSEWAY_SCALE ?? 20);
  return Number.isFinite(given) && given >= 1 ? given : 20;
}

/** `full` divided by the scale, but at least `least`. */
export function scaled(full: number, least = 1): number {
  return Math.max(least, Math.round(full / scale()));
}
