import { printedRatio, ratioOfMedians } from '../bootstrap.ts';
import { printed, summarise } from '../quantiles.ts';
import { type PeerMove, type PeerSystem, type PeerWindow, peerCells, peerRatesMBs } from './peer-move.ts';

/** A run in which the guest wrote less than this share of its nominal rate says nothing about that rate. */
const leastShareOfRate = 0.8;
/** Nor does one during which others had more of the machine than this, whoever moved the guest. */
const mostForeignCores = 0.3;

const measures: readonly { readonly what: string; readonly of: (move: PeerMove) => number | null }[] = [
  { what: 'start → running there', of: (move) => move.startToRunningMs },
  { what: "wall − QEMU's total", of: (move) => move.wallMs - move.qemuTotalMs },
  { what: 'STOP → RESUME', of: (move) => move.stopToResumeMs },
  { what: 'outside gap', of: (move) => move.clientGapMs },
  { what: 'TCP stall', of: (move) => move.tcpStallMs },
];

/** All windows together: medians with ranges, and Godwit's ratio to each peer with its interval, where chance cannot have made it. */
export function printPeer(measured: readonly PeerWindow[]): void {
  const windows = measured.filter((window) => window.void === undefined);
  for (const reason of new Set(measured.flatMap((window) => window.void ?? []))) console.log(`left out: ${reason}`);
  const all = windows.flatMap((window) => window.moves);
  const moves = all.filter(
    ({ rateMBs, achievedMBs, foreignCores }) => achievedMBs >= rateMBs * leastShareOfRate && foreignCores <= mostForeignCores,
  );
  console.log(
    `\n${windows.length} windows, ${all.length} moves, ${moves.length} count (the guest achieved its rate, others used ${mostForeignCores} of a core at most); median (range, p95, n) in ms`,
  );
  const values = (system: PeerSystem, tls: boolean, rateMBs: number, of: (move: PeerMove) => number | null): readonly number[] =>
    moves
      .filter((move) => move.system === system && move.tls === tls && move.rateMBs === rateMBs)
      .map(of)
      .filter((value): value is number => value !== null && Number.isFinite(value));
  for (const tls of [true, false])
    for (const rateMBs of peerRatesMBs) {
      console.log(`\n${tls ? 'TLS' : 'no TLS'}, ${rateMBs} MB/s`);
      for (const { what, of } of measures) {
        const ours = values('godwit', tls, rateMBs, of);
        for (const { system } of peerCells.filter((cell) => cell.rateMBs === rateMBs)) {
          const theirs = values(system, tls, rateMBs, of);
          const ratio = system === 'godwit' ? '' : `  godwit / this: ${printedRatio(ratioOfMedians(ours, theirs))}`;
          console.log(`  ${what.padEnd(24)} ${system.padEnd(16)} ${printed(summarise(theirs))}${ratio}`);
        }
      }
    }
}
