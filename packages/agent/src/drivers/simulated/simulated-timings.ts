/** How long things take on a simulated host; milliseconds unless named otherwise. Defaults: QEMU under KVM on a 10 Gbit/s link, as measured elsewhere and rounded. */
export type SimulatedTimings = {
  readonly qemuStartMs: number;
  readonly diskCreateMs: number;
  /** Of a migration link, bytes per second; 0: copying takes no time. */
  readonly bandwidthBytesPerSecond: number;
  /** Of each guest, bytes per second. */
  readonly dirtyBytesPerSecond: number;
  readonly blackoutMs: number;
  /** Share of starts and of copies that fail, 0 to 1. */
  readonly failureRate: number;
};

const defaults: SimulatedTimings = {
  qemuStartMs: 100,
  diskCreateMs: 20,
  bandwidthBytesPerSecond: 1_150_000_000,
  dirtyBytesPerSecond: 20_000_000,
  blackoutMs: 15,
  failureRate: 0,
};

/**
 * Defaults with what the environment changes (GODWIT_SIMULATED_TIMINGS is a JSON object of the names above), and what the configuration of one host changes of that. Throws on a name or
 * value that means nothing.
 */
export function simulatedTimings(
  ofHost: Readonly<Record<string, unknown>> = {},
  text = process.env['GODWIT_SIMULATED_TIMINGS'],
): SimulatedTimings {
  const ofAll = text === undefined || text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  const changes = { ...ofAll, ...ofHost };
  for (const [name, value] of Object.entries(changes))
    if (!(name in defaults) || typeof value !== 'number' || !(value >= 0))
      throw new Error(`GODWIT_SIMULATED_TIMINGS, or the timings of a simulated host: ${name} is no timing, or its value none`);
  return { ...defaults, ...changes };
}

/** How long a pre-copy of so much RAM takes, in the steady state of round after round; infinite when the guest writes faster than the link carries. */
export function copyMs(ramMib: number, timings: SimulatedTimings): number {
  const { bandwidthBytesPerSecond: bandwidth, dirtyBytesPerSecond: dirty } = timings;
  if (bandwidth === 0) return 0;
  if (dirty >= bandwidth) return Number.POSITIVE_INFINITY;
  return (ramMib * 1_048_576 * 1000) / (bandwidth - dirty);
}
