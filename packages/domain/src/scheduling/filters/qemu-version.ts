import { type Filter, text } from '../filter.ts';

/**
 * The pair of QEMUs can pass RAM: same accelerator (device and CPU state differ between KVM and TCG), and a destination
 * that is not older in major.minor: QEMU keeps the stream of a pinned machine type readable by newer versions, and does
 * not promise the reverse.
 */
export const qemuVersion: Filter = {
  name: 'qemu-version',
  prepare: (demand) => {
    const source = demand.runningOn;
    if (source === null) return null;
    const [sourceMajor, sourceMinor] = majorMinor(source.qemuVersion);
    return ({ facts }) => {
      if (facts.accelerator !== source.accelerator) {
        return { filter: 'qemu-version', code: 'Accelerator', data: { source: source.accelerator, destination: facts.accelerator } };
      }
      if (facts.qemuVersion === source.qemuVersion) return null;
      const [major, minor] = majorMinor(facts.qemuVersion);
      if (major > sourceMajor || (major === sourceMajor && minor >= sourceMinor)) return null;
      return { filter: 'qemu-version', code: 'QemuVersion', data: { source: source.qemuVersion, destination: facts.qemuVersion } };
    };
  },
  describe: (rejection) =>
    rejection.code === 'Accelerator'
      ? {
          sentence: `the guest runs under ${text(rejection, 'source')}, this host has ${text(rejection, 'destination')}`,
          smallestChange: 'migrate it cold',
        }
      : {
          sentence: `the guest runs in QEMU ${text(rejection, 'source')}, this host has the older ${text(rejection, 'destination')}`,
          smallestChange: `install QEMU ${majorMinor(text(rejection, 'source')).join('.')} or newer here`,
        },
};

function majorMinor(version: string): readonly [number, number] {
  const [major, minor] = version.split('.');
  return [Number.parseInt(major ?? '', 10) || 0, Number.parseInt(minor ?? '', 10) || 0];
}
