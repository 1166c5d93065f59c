/** How much different memory a guest wrote in a while: what page sampling over that long has seen. */
export type DirtyPoint = { readonly windowMs: number; readonly bytes: number };

/**
 * A guest that writes at one rate within one area: what is dirtied grows ever more slowly towards the area's size. Fitted to what was measured over a short and a long while; with one
 * measurement the area is as large as the memory. Bytes per second, bytes.
 */
export type DirtyCurve = { readonly bytesPerSecond: number; readonly workingSetBytes: number };

/** `residentBytes`: the most that it can dirty. Points in any order; none: null. */
export function fitDirtyCurve(points: readonly DirtyPoint[], residentBytes: number): DirtyCurve | null {
  const sorted = points.filter(({ windowMs }) => windowMs > 0).toSorted((a, b) => a.windowMs - b.windowMs);
  const [short] = sorted;
  const long = sorted.at(-1);
  if (short === undefined || long === undefined) return null;
  const most = Math.max(residentBytes, long.bytes);
  if (long.bytes <= 0) return { bytesPerSecond: 0, workingSetBytes: 0 };
  const initial = Math.max(short.bytes / short.windowMs, long.bytes / long.windowMs) * 1000;
  if (short === long || long.bytes >= initial * (long.windowMs / 1000) * 0.98) return { bytesPerSecond: initial, workingSetBytes: most };
  // The area for which the curve that begins with the short rate meets the long measurement: it is larger for a larger area.
  let low = long.bytes;
  let high = most;
  for (let turn = 0; turn < 60; turn += 1) {
    const middle = (low + high) / 2;
    if (dirtiedIn({ bytesPerSecond: rateFor(short, middle), workingSetBytes: middle }, long.windowMs) < long.bytes) low = middle;
    else high = middle;
  }
  return { bytesPerSecond: rateFor(short, high), workingSetBytes: high };
}

/** The rate at which an area so large is dirtied as far as the short measurement has seen. */
function rateFor({ windowMs, bytes }: DirtyPoint, areaBytes: number): number {
  const share = Math.min(0.99, bytes / areaBytes);
  return (-Math.log(1 - share) * areaBytes * 1000) / windowMs;
}

/** Different bytes that are written in so many milliseconds. */
export function dirtiedIn({ bytesPerSecond, workingSetBytes }: DirtyCurve, ms: number): number {
  if (workingSetBytes <= 0 || bytesPerSecond <= 0 || ms <= 0) return 0;
  return workingSetBytes * (1 - Math.exp((-bytesPerSecond * ms) / 1000 / workingSetBytes));
}
