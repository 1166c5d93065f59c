import { type GuestSpec, slotOf } from '@godwit/domain/guest-spec';

/** What a memory knows of the machine that it was saved of, by the words in which a difference is told. */
export type SavedMachine = Readonly<Record<string, unknown>>;

/** QEMU does not look: it loads a smaller memory into a larger one, for one, and the guest crashes. Paths and names on the host may differ. */
export const savedMachineOf = (spec: GuestSpec): SavedMachine => ({
  vcpus: spec.vcpus,
  // Not where there is none: a memory that an older agent saved says nothing of it.
  ...(spec.maxVcpus !== undefined && { 'most vcpus': spec.maxVcpus }),
  'ram MiB': spec.ramMib,
  // What its guest was given of it is in the memory itself.
  ...(spec.maxRamMib !== undefined && { 'most ram MiB': spec.maxRamMib }),
  'machine type': spec.machineType,
  'cpu model': spec.cpuModel,
  accelerator: spec.accelerator,
  'device layout': spec.deviceLayout,
  graphics: spec.graphics,
  balloon: spec.balloon,
  // Told only where there is one: memories from before there were any are whole.
  ...(spec.guestAgent && { 'guest agent': true }),
  'config drive': spec.configDrive !== undefined,
  disks: spec.disks.map(({ id, format, readOnly, sizeBytes }) => `${id} ${format} ${sizeBytes}${readOnly ? ' read-only' : ''}`),
  'network cards': spec.nics.map((nic, position) => `${nic.mac} ${slotOf(nic, position)} ${nic.mtu ?? 1500}`),
});

/** The first thing in which this machine is not the saved one; null: there is none. */
export function unlikeSaved(saved: SavedMachine, now: SavedMachine): string | null {
  for (const [what, value] of Object.entries(now)) {
    const [then, wanted] = [JSON.stringify(saved[what]), JSON.stringify(value)];
    if (then !== wanted) return `it was saved of another machine (${what}: ${then}, now ${wanted})`;
  }
  return null;
}
