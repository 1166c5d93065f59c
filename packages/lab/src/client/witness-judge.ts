/** One heartbeat as the fabric saw it, in the order in which the kernel took the frames in. */
export interface Sighting {
  readonly atMs: number;
  /** The fabric's port that the frame came in by: which host sent it. */
  readonly port: string;
  /** The sender's MAC address: which server it claims to be. */
  readonly guest: string;
  /** Random at the guest's boot, kept in its RAM. */
  readonly nonce: string;
  readonly counter: number;
}

export type Violation =
  /** The same boot sent a number that it, or a copy of it, had sent before: two copies run, or one was rolled back. */
  | { readonly kind: 'counter-went-back'; readonly sighting: Sighting; readonly last: Sighting }
  /** A boot spoke after a later one had begun: the old copy was not dead when the new one started. */
  | { readonly kind: 'old-copy-spoke'; readonly sighting: Sighting; readonly last: Sighting }
  /** The sender was at one port, at another, and back, faster than any move: two ports send in turns. */
  | { readonly kind: 'ports-interleaved'; readonly sighting: Sighting; readonly last: Sighting };

export interface GuestRecord {
  readonly guest: string;
  readonly nonces: readonly string[];
  readonly port: string;
  readonly lastCounter: number;
  readonly seen: number;
  /** Numbers never seen: frames lost on the way, or sent while the fabric was cut. */
  readonly missing: number;
  /** How often the port changed: one for each move. */
  readonly portChanges: number;
  /** The longest silence since the last `resetGaps`, across moves and reboots. */
  readonly largestGapMs: number;
  readonly largestGapEndedAtMs: number;
}

/** No move of ours gets a guest to another host and back in less: two switchovers with all their preparation. */
export const fastestReturnMs = 100;

interface Track {
  nonces: string[];
  last: Sighting;
  /** The port before the last change, and when that change was. */
  previousPort: string | undefined;
  portSinceMs: number;
  seen: number;
  missing: number;
  portChanges: number;
  largestGapMs: number;
  largestGapEndedAtMs: number;
}

/**
 * Judges what a witness outside all hosts saw. It trusts nobody: not agents, not the controller, not QEMU. Pure state: time is in
 * the sightings.
 */
export class WitnessJudge {
  readonly #tracks = new Map<string, Track>();
  readonly #violations: Violation[] = [];

  /** Takes the next sighting in. Returns what it violates, if anything; that is also kept in `violations`. */
  see(sighting: Sighting): Violation | undefined {
    const track = this.#tracks.get(sighting.guest);
    if (track === undefined) {
      this.#tracks.set(sighting.guest, {
        nonces: [sighting.nonce],
        last: sighting,
        previousPort: undefined,
        portSinceMs: sighting.atMs,
        seen: 1,
        missing: 0,
        portChanges: 0,
        largestGapMs: 0,
        largestGapEndedAtMs: sighting.atMs,
      });
      return undefined;
    }
    const violation = violated(track, sighting);
    if (violation !== undefined) this.#violations.push(violation);
    // What came from a copy that should be dead must not become the measure of the living one.
    if (violation?.kind !== 'old-copy-spoke') follow(track, sighting);
    return violation;
  }

  get violations(): readonly Violation[] {
    return this.#violations;
  }

  get guests(): readonly GuestRecord[] {
    return [...this.#tracks].map(([guest, track]) => ({
      guest,
      nonces: track.nonces,
      port: track.last.port,
      lastCounter: track.last.counter,
      seen: track.seen,
      missing: track.missing,
      portChanges: track.portChanges,
      largestGapMs: track.largestGapMs,
      largestGapEndedAtMs: track.largestGapEndedAtMs,
    }));
  }

  /** Begins a new window for the largest gap; a silence that is going on now is counted from its true beginning. */
  resetGaps(): void {
    for (const track of this.#tracks.values()) track.largestGapMs = 0;
  }
}

function violated(track: Track, sighting: Sighting): Violation | undefined {
  const { last } = track;
  if (sighting.nonce !== last.nonce) {
    return track.nonces.includes(sighting.nonce) ? { kind: 'old-copy-spoke', sighting, last } : undefined;
  }
  if (sighting.counter <= last.counter) return { kind: 'counter-went-back', sighting, last };
  if (sighting.port !== last.port && sighting.port === track.previousPort && sighting.atMs - track.portSinceMs < fastestReturnMs) {
    return { kind: 'ports-interleaved', sighting, last };
  }
  return undefined;
}

function follow(track: Track, sighting: Sighting): void {
  const { last } = track;
  const gapMs = sighting.atMs - last.atMs;
  if (gapMs > track.largestGapMs) {
    track.largestGapMs = gapMs;
    track.largestGapEndedAtMs = sighting.atMs;
  }
  if (sighting.nonce !== last.nonce) track.nonces.push(sighting.nonce);
  else if (sighting.counter > last.counter) track.missing += sighting.counter - last.counter - 1;
  if (sighting.port !== last.port) {
    track.previousPort = last.port;
    track.portSinceMs = sighting.atMs;
    track.portChanges += 1;
  }
  track.seen += 1;
  // After a counter that went back the higher one stays the measure: a second copy is then reported at each of its frames.
  track.last = sighting.nonce === last.nonce && sighting.counter < last.counter ? { ...sighting, counter: last.counter } : sighting;
}

/** One line for a person. */
export function describeViolation({ kind, sighting, last }: Violation): string {
  const words = {
    'counter-went-back': 'counter went back or was sent twice',
    'old-copy-spoke': 'an older boot spoke after a newer one had begun',
    'ports-interleaved': 'two ports send in turns',
  }[kind];
  const say = (one: Sighting): string => `${one.nonce}/${one.counter} from ${one.port} at ${one.atMs.toFixed(3)} ms`;
  return `guest ${sighting.guest}: ${words}: ${say(sighting)}, after ${say(last)}`;
}
