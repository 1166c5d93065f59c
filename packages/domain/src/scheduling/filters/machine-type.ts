import { type Filter, oncePer, text } from '../filter.ts';

/** The host's QEMU knows the machine type that was pinned at the server's first start. */
export const machineType: Filter = {
  name: 'machine-type',
  prepare: (demand) => {
    const pinned = demand.machineType;
    if (pinned === null) return null;
    return oncePer(
      (facts) => facts.machineTypes,
      (machineTypes, facts) =>
        machineTypes.includes(pinned)
          ? null
          : { filter: 'machine-type', code: 'MachineType', data: { needed: pinned, qemuVersion: facts.qemuVersion } },
    );
  },
  describe: (rejection) => ({
    sentence: `needs machine type ${text(rejection, 'needed')}, ${text(rejection, 'qemuVersion') === '' ? 'there is no QEMU here' : `QEMU ${text(rejection, 'qemuVersion')} here does not have it`}`,
    smallestChange: 'install a QEMU that has this machine type',
  }),
};
