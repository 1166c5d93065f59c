/** A QEMU version as numbers, compared part by part. */
export type QemuVersion = readonly [major: number, minor: number, micro: number];

/** Reads "10.0.2" (anything after the third number, such as a distribution's suffix, is ignored). Throws RangeError when it is no version. */
export function parseQemuVersion(text: string): QemuVersion {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (!match) throw new RangeError(`${JSON.stringify(text)} is no QEMU version`);
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/** Negative when a is older than b, 0 when equal, positive when newer. */
export const compareVersions = (a: QemuVersion, b: QemuVersion): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
