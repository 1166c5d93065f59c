import { expect, it } from 'vitest';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '../ids.ts';
import { controllerStep } from './controller.ts';
import type { ControllerEvent } from './controller-event.ts';
import type { CustodyRow } from './custody-row.ts';
import { disksFate } from './disks-fate.ts';
import type { HostMessage } from './host-effect.ts';

const [a, b, fence] = [as<HostId>('A'), as<HostId>('B'), asFence(1)];
const [boot, epoch, migrationId] = [as<BootId>('B1'), asEpoch(2), as<MigrationId>('m')];
const first: CustodyRow = {
  serverId: as<ServerId>('S'),
  epoch: asEpoch(1),
  fence,
  holder: { kind: 'host', hostId: a, epoch: asEpoch(1), bootId: as<BootId>('A1') },
  operation: null,
  remains: [],
  behind: false,
};
const move: ControllerEvent = {
  kind: 'beginMove',
  fence,
  migrationId,
  destination: b,
  bootId: boot,
  fenced: false,
  endState: 'running',
  postCopy: false,
};
const start: ControllerEvent = { kind: 'beginStart', fence, destination: b, bootId: boot, fenced: false, endState: 'running' };
const from = (host: HostId, message: HostMessage): ControllerEvent => ({ kind: 'heard', fence, from: host, message });
const [abort, fenced]: readonly ControllerEvent[] = [
  { kind: 'abort', fence },
  { kind: 'fenced', fence, hostId: b },
];
const granted = from(b, { kind: 'granted', epoch });
const took = (alive: boolean) => from(b, { kind: 'took', epoch, alive });
const disarmed = (source: 'runs' | 'completed' | 'lost') => from(a, { kind: 'disarmed', epoch, source });
const rebooted = from(b, { kind: 'unknown', epoch, bootId: as<BootId>('B2') });
const forfeited = from(b, { kind: 'forfeited', epoch });
const resumed = from(a, { kind: 'resumed', epoch: asEpoch(1), forfeited: epoch });
const leftover = { kind: 'leftover', hostId: b, migrationId };
const kept = { kind: 'kept', hostId: b };

it.each<readonly [string, readonly ControllerEvent[], object | null]>([
  ['taken', [move, granted, took(true)], kept],
  ['taken and dead', [move, granted, took(false)], kept],
  ['fenced, and the source runs on', [move, granted, fenced as ControllerEvent, disarmed('runs')], leftover],
  ['rebooted, and the source runs on', [move, granted, abort as ControllerEvent, disarmed('runs'), rebooted], leftover],
  ['forfeited', [move, granted, abort as ControllerEvent, disarmed('runs'), forfeited], null],
  ['forfeited after the release', [move, granted, abort as ControllerEvent, disarmed('completed'), forfeited, resumed], null],
  ['fenced, and the source has released', [move, granted, fenced as ControllerEvent, disarmed('completed')], kept],
  ['fenced, and the source is lost', [move, granted, fenced as ControllerEvent, disarmed('lost')], kept],
  ['rebooted after the release', [move, granted, abort as ControllerEvent, disarmed('completed'), rebooted], kept],
  ['a start that nobody knows of', [start, granted, abort as ControllerEvent, rebooted], kept],
  ['a start that is fenced', [start, granted, fenced as ControllerEvent], kept],
  ['a start that is forfeited', [start, granted, abort as ControllerEvent, forfeited], null],
])('disks at a destination: %s', (_, events, fate) => {
  const fates: (object | null)[] = [];
  const stopped: CustodyRow = { ...first, holder: { kind: 'nowhere' } };
  events.reduce(
    (row, event) => {
      const next = controllerStep(row, event).row;
      expect(next).not.toBe(row);
      fates.push(disksFate(row, event, next));
      return next;
    },
    events[0] === start ? stopped : first,
  );
  expect(fates.slice(0, -1).every((one) => one === null)).toBe(true);
  expect(fates.at(-1)).toEqual(fate);
});
