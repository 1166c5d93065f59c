import type { MeasuredMove } from './measured-move.ts';
import { printed, summarise } from './quantiles.ts';

/** A run in which the guest wrote less than this share of its nominal rate says nothing about that rate. */
const leastShareOfRate = 0.8;
/** At most one in a hundred moves may stand still for longer. */
const longBlackoutMs = 100;

/** Every part of the moves at one rate; the other moves are left out. */
export function printRate(rateMBs: number, all: readonly MeasuredMove[]): void {
  const moves = all.filter((move) => move.rateMBs === rateMBs);
  const valid = moves.filter((move) => move.achievedMBs >= rateMBs * leastShareOfRate);
  const column = (pick: (move: MeasuredMove) => number | null) => printed(summarise(valid.map(pick).filter((value) => value !== null)));
  console.log(
    `\n${rateMBs} MB/s: ${valid.length} of ${moves.length} runs count (the guest achieved its rate); median (range, p95, n) in ms`,
  );
  const rows: readonly (readonly [string, string])[] = [
    ['accept → migrate', column((move) => move.acceptToMigrateMs)],
    ['migrate → STOP', column((move) => move.migrateToStopMs)],
    ['STOP → RESUME (blackout)', column((move) => move.stopToResumeMs)],
    ['RESUME → API says completed', column((move) => move.resumeToCompletedMs)],
    [
      'first + last',
      column((move) =>
        move.acceptToMigrateMs === null || move.resumeToCompletedMs === null ? null : move.acceptToMigrateMs + move.resumeToCompletedMs,
      ),
    ],
    ['own share (completed → RESUME)', column((move) => move.ownShareMs)],
    ['  completed → release sent', column((move) => move.completedToSentMs)],
    ['  release sent → heard', column((move) => move.sentToHeardMs)],
    ['  release heard → RESUME', column((move) => move.heardToResumeMs)],
    [
      'blackout − QEMU downtime',
      column((move) => (move.stopToResumeMs === null || move.qemuDowntimeMs === null ? null : move.stopToResumeMs - move.qemuDowntimeMs)),
    ],
    ['outside gap (1 kHz heartbeat)', column((move) => move.clientGapMs)],
    ['  of it the guest ran for', column((move) => move.pickUpMs)],
    ['longest TCP stall', column((move) => move.tcpStallMs)],
    ['clock error', column((move) => move.clockErrorMs)],
    ['rounds', column((move) => move.rounds)],
    ['others used, in cores', column((move) => move.foreignCores)],
  ];
  for (const [what, value] of rows) console.log(`  ${what.padEnd(32)} ${value}`);
  const long = valid.filter((move) => (move.stopToResumeMs ?? 0) > longBlackoutMs).length;
  console.log(`  ${`blackouts above ${longBlackoutMs} ms`.padEnd(32)} ${long} of ${valid.length}`);
}
