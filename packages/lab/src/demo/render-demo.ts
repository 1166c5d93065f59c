import type { Credentials } from '../cloud/openstack-client.ts';
import type { DemoMove } from './demo-report.ts';

const columns: readonly (readonly [string, (move: DemoMove, index: number) => string])[] = [
  ['#', (_, index) => String(index + 1)],
  ['FROM', (move) => move.source],
  ['TO', (move) => move.destination],
  ['STATUS', (move) => move.status],
  [
    'BLACKOUT',
    (move) => (move.blackoutMs === null ? '-' : `${ms(move.blackoutMs)}${move.clockErrorMs === null ? '' : ` ±${ms(move.clockErrorMs)}`}`),
  ],
  ['OWN SHARE', (move) => ms(move.ownShareMs)],
  ['QEMU SAYS', (move) => ms(move.qemuDowntimeMs)],
  ['CLIENT GAP', (move) => ms(move.clientGapMs)],
  ['TCP STALL', (move) => (move.tcpReset ? 'RESET' : ms(move.tcpMaxStallMs))],
  ['TOTAL', (move) => ms(move.acceptToCompletedMs)],
  ['RAM', (move) => (move.ramBytes === null ? '-' : `${(move.ramBytes / 2 ** 20).toFixed(0)} MiB`)],
  ['DISK', (move) => ((move.diskBytes ?? 0) === 0 ? '-' : `${((move.diskBytes ?? 0) / 2 ** 20).toFixed(1)} MiB`)],
  ['ROUNDS', (move) => (move.rounds === null ? '-' : String(move.rounds))],
];

const ms = (value: number | null): string => (value === null ? '-' : value < 10 ? value.toFixed(1) : value.toFixed(0));

/** The table of all moves; times in milliseconds. */
export function renderMoves(moves: readonly DemoMove[]): string {
  const rows = [columns.map(([head]) => head), ...moves.map((move, index) => columns.map(([, cell]) => cell(move, index)))];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return `${rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n(milliseconds)\n`;
}

export interface Closing {
  readonly url: string;
  readonly admin: Credentials;
  /** As to be typed from where the user is. */
  readonly openrc: string;
  readonly guests: readonly { readonly name: string; readonly id: string; readonly host: string }[];
  /** A host that the first guest is not on. */
  readonly otherHost: string;
  readonly downCommand: string;
}

/** What a person needs to go on: how to sign in, what runs, three commands to paste, how to stop. */
export function renderClosing(closing: Closing): string {
  const id = closing.guests[0]?.id ?? 'ID';
  return [
    'The cloud goes on running.',
    '',
    `  URL        ${closing.url}`,
    `  user       ${closing.admin.userName}`,
    `  password   ${closing.admin.password}`,
    `  project    ${closing.admin.projectName}`,
    ...closing.guests.map((guest) => `  guest      ${guest.name}  ${guest.id}  on ${guest.host}`),
    '',
    'Try it:',
    '',
    `  source ${closing.openrc}`,
    `  openstack server migrate --live-migration ${id}`,
    `  openstack server migrate --live-migration --host ${closing.otherHost} ${id}`,
    `  openstack server migration list --server ${id}`,
    '',
    `Stop it:     ${closing.downCommand}`,
    '',
  ].join('\n');
}
