import type { MigrationCause, MigrationOutcome } from '@godwit/domain/migration';

/** What an operator can do about each cause. */
export const nextSteps: Readonly<Record<MigrationCause, string>> = {
  NoValidHost: 'Read the reason of each host below; free capacity, enable a host or change the group, then try again.',
  DestinationDown: 'Bring the destination back, or choose another host.',
  SourceDown: 'Wait for the source to answer again. Its guests keep running while its agent is away.',
  PrepareFailed: 'Look at the evidence, mend the destination or choose another host, then try again.',
  DestinationDied: 'Try again with another host; the log of the destination’s agent says why its QEMU ended.',
  StartFailed: 'Look at the evidence: the destination’s QEMU did not start. Mend the host or choose another.',
  SourceDied: 'The guest ended with the source’s QEMU. Start the instance again.',
  StreamFailed: 'Check the link between the two hosts, then try again.',
  SwitchoverTimeout: 'Try again when the guest is less busy.',
  CancelledByOperator: 'Nothing needs to be done. Start the move again when it suits.',
  GuestPoweredOff: 'The guest shut itself down. Start the instance on its host when it is needed.',
  GuestCrashed: 'The guest’s QEMU ended during the move. Look at the console log, then start the instance.',
  GuestDiskError: 'Make room on the pool of the disk that is named, or mend it. Then reboot the instance hard.',
  GuestCrashedOnArrival: 'The guest ended right after the switch. Look at the console log, then start the instance.',
  InvalidLocalStorage: 'The disks are shared: try again without Block Migrate.',
  InvalidSharedStorage: 'The disks are local: they have to be copied with Block Migrate.',
  NoSpace: 'Free space on the destination’s pool, or choose another host.',
  IncompatibleCpu: 'Choose a host whose CPU has the features the guest was started with.',
  ForbiddenCombination: 'These two QEMU versions are known not to work together. Choose another host.',
  DeviceCannotMove: 'Detach the device that is named, or stop the instance and use Migrate.',
  WillNotConverge: 'The guest writes memory faster than the link carries it. Try when it is less busy, or use Migrate.',
  DeadlineExceeded: 'Give the move more time, or try when the guest is less busy.',
  Stuck: 'Check the link between the two hosts, then try again.',
  ServerDeleted: 'The instance was deleted during the move. Nothing needs to be done.',
  CustodyUnknown: 'Wait for the silent host to answer, or fence it and restart the instance from its disk.',
  Internal: 'Look for the request id in the controller’s log.',
};

/** Where the guest runs now, in one sentence. Never a guess: what nobody could see is called unknown. */
export function whereItRuns(outcome: Pick<MigrationOutcome, 'runsOn'>, source: string | null, destination: string | null): string {
  switch (outcome.runsOn) {
    case 'source':
      return `The guest runs on the source, ${source ?? 'which has been removed'}.`;
    case 'destination':
      return `The guest runs on the destination, ${destination ?? 'which has been removed'}.`;
    case 'nowhere':
      return 'The guest does not run.';
    case 'unknown':
      return 'It is not known where the guest runs: the hosts could not be asked.';
  }
}
