/** One live migration of the demo, as `godwit demo --json` prints it. Milliseconds; null where it was not measured. */
export interface DemoMove {
  readonly id: string;
  readonly source: string;
  readonly destination: string;
  readonly status: string;
  /** Why it ended so, in Godwit's own sentence; null for a success. */
  readonly reason: string | null;
  /** Source's STOP to destination's RESUME, by the agents' clocks, and how wrong those may be against each other. */
  readonly blackoutMs: number | null;
  readonly clockErrorMs: number | null;
  readonly qemuDowntimeMs: number | null;
  readonly ownShareMs: number | null;
  /** Longest silence of the guest's 1 kHz heartbeat on its way to the client, by the kernel's time of the frames. */
  readonly clientGapMs: number;
  readonly tcpMaxStallMs: number;
  readonly tcpReset: boolean;
  readonly acceptToCompletedMs: number;
  readonly qemuTotalMs: number | null;
  readonly ramBytes: number | null;
  /** Copied from local disks; 0: none were copied. */
  readonly diskBytes: number | null;
  readonly rounds: number | null;
}

export interface DemoReport {
  /** Every move completed, no connection was lost, no page or acknowledged write was lost, and never did two copies run. */
  readonly ok: boolean;
  readonly accel: string;
  readonly qemu: string;
  readonly migrations: readonly DemoMove[];
  /** The move of the guest whose disk is on its host alone: copied while it wrote to it. Null: it was not made. */
  readonly blockMigration: DemoMove | null;
  /** What made `ok` false, one sentence each. */
  readonly problems: readonly string[];
}

/** Pure: what must be true of a demo for it to be a success. */
export function demoProblems(moves: readonly DemoMove[], wanted: number): readonly string[] {
  const problems: string[] = [];
  if (moves.length < wanted) problems.push(`${moves.length} of ${wanted} migrations were made`);
  for (const move of moves) {
    const name = `${move.source} → ${move.destination}`;
    if (move.status !== 'completed') problems.push(`${name} ended ${move.status}: ${move.reason ?? 'no reason was recorded'}`);
    if (move.tcpReset) problems.push(`${name} cost a TCP connection`);
  }
  return problems;
}
