/** What one progress report of a migration said. */
export type Sample = {
  /** UTC milliseconds of the controller's clock. */
  readonly at: number;
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly sentBytesPerSecond: number;
};

/** More than this of one migration, and every second one is dropped: the chart has fewer pixels. */
const most = 2000;
const byMigration = new Map<string, readonly Sample[]>();
const none: readonly Sample[] = [];
const listeners = new Set<() => void>();

/** The samples known of a migration, oldest first; the same array until there is a new one. */
export const samplesOf = (migrationId: string): readonly Sample[] => byMigration.get(migrationId) ?? none;

/** Adds a sample; one that is not newer than the last is a repetition after a reconnect and is left out. */
export function noteSample(migrationId: string, sample: Sample): void {
  const known = samplesOf(migrationId);
  const last = known.at(-1);
  if (last !== undefined && sample.at <= last.at) return;
  const thinned = known.length < most ? known : known.filter((_, index) => index % 2 === 0);
  byMigration.set(migrationId, [...thinned, sample]);
  for (const listener of listeners) listener();
}

/** Adds what was reported before this tab watched; what it has seen itself stays. */
export function noteEarlierSamples(migrationId: string, earlier: readonly Sample[]): void {
  const known = samplesOf(migrationId);
  const first = known[0]?.at ?? Number.POSITIVE_INFINITY;
  const before = earlier.filter((sample) => sample.at < first);
  if (before.length === 0) return;
  byMigration.set(migrationId, [...before, ...known]);
  for (const listener of listeners) listener();
}

/** For useSyncExternalStore. Returns the function that ends the subscription. */
export function onSample(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
