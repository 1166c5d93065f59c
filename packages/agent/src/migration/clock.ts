/** The other host's clock minus this one's, and how wrong that may be: half the round trip it was taken from. Milliseconds. */
export type ClockOffset = { readonly offsetMs: number; readonly errorMs: number };

export type ClockReading = {
  readonly sentAtMs: number;
  readonly theirReceivedAtMs: number;
  readonly theirSentAtMs: number;
  readonly receivedAtMs: number;
};

/**
 * Offset by the best of several readings. The true offset lies within ± errorMs whatever the network's asymmetry; the reading with the shortest time on the
 * wire bounds it closest. Throws RangeError without readings.
 */
export function offsetOf(readings: readonly ClockReading[]): ClockOffset {
  const bounds = readings.map((one) => ({
    offsetMs: (one.theirReceivedAtMs - one.sentAtMs + (one.theirSentAtMs - one.receivedAtMs)) / 2,
    errorMs: Math.max(0, one.receivedAtMs - one.sentAtMs - (one.theirSentAtMs - one.theirReceivedAtMs)) / 2,
  }));
  return bounds.reduce((best, one) => (one.errorMs < best.errorMs ? one : best), bounds[0] ?? raise());
}

const raise = (): never => {
  throw new RangeError('no clock reading');
};

/** Reads the peer's clock `times` times in a row on a connection that is warm by then. */
export async function measureOffset(
  ask: () => Promise<{ readonly receivedAtMs: number; readonly sentAtMs: number }>,
  nowMs: () => number,
  times: number,
): Promise<ClockOffset> {
  const readings: ClockReading[] = [];
  for (let turn = 0; turn < times; turn += 1) {
    const sentAtMs = nowMs();
    const theirs = await ask();
    readings.push({ sentAtMs, theirReceivedAtMs: theirs.receivedAtMs, theirSentAtMs: theirs.sentAtMs, receivedAtMs: nowMs() });
  }
  return offsetOf(readings);
}
