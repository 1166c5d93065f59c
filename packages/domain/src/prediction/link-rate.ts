/** What one move's link carried of memory while nothing held it back, bytes per second. */
export type LinkReading = { readonly source: string; readonly destination: string; readonly bytesPerSecond: number };

/** The level of a pair of hosts is believed beside those of others like so many of its own readings. */
const shrinkage = 1;
/** What is common to all links of late (load on hosts that share a machine, or a fabric) is seen in so many of the newest moves; each counts half as much as the fourth after it. */
const newest = 15;
const halfLife = 4;

/**
 * What a link is expected to carry now, from moves over this and other links, newest first: its own level, and how far all links have been off theirs of late. Its own readings alone would be
 * as old as its last moves, and other links' alone would be other links'. Null without a reading; `to` null: to any host.
 */
export function expectedLinkRate(readings: readonly LinkReading[], from: string | null, to: string | null): number | null {
  const known = readings.filter(({ bytesPerSecond }) => bytesPerSecond > 0);
  if (known.length === 0) return null;
  const all = mean(known.map(logOf));
  const level = (which: (one: LinkReading) => boolean, parent: number): number => {
    const own = known.filter(which);
    return (own.reduce((sum, one) => sum + logOf(one), 0) + shrinkage * parent) / (own.length + shrinkage);
  };
  const levels = new Map<string, number>();
  const levelOf = (source: string, destination: string): number => {
    const key = `${source} ${destination}`;
    const cached = levels.get(key);
    if (cached !== undefined) return cached;
    const found = level(
      (one) => one.source === source && one.destination === destination,
      level((one) => one.source === source, all),
    );
    levels.set(key, found);
    return found;
  };
  const recent = known.slice(0, newest);
  const weight = (age: number): number => 0.5 ** (age / halfLife);
  const drift =
    recent.reduce((sum, one, age) => sum + weight(age) * (logOf(one) - levelOf(one.source, one.destination)), 0) /
    recent.reduce((sum, _one, age) => sum + weight(age), 0);
  const own = from === null ? all : to === null ? level((one) => one.source === from, all) : levelOf(from, to);
  return Math.exp(own + drift);
}

const logOf = ({ bytesPerSecond }: LinkReading): number => Math.log(bytesPerSecond);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
