/** What a qcow2 header tells before anything opens the file. Layout: QEMU's docs/interop/qcow2, "Header". */
export type Qcow2Header = {
  readonly version: number;
  readonly namesBackingFile: boolean;
  readonly namesDataFile: boolean;
  readonly encrypted: boolean;
  readonly virtualSizeBytes: bigint;
};

const magic = 0x514649fb; // "QFI\xfb"
/** Bytes of the header that are looked at. */
export const qcow2HeaderBytes = 104;
/** Incompatible feature bit 2: guest data lies in another file. */
const externalDataFile = 1n << 2n;

/** The header, or null when the bytes are not a qcow2 of version 2 or 3. */
export function readQcow2Header(bytes: Buffer): Qcow2Header | null {
  if (bytes.length < 72 || bytes.readUInt32BE(0) !== magic) return null;
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) return null;
  const incompatible = version === 3 && bytes.length >= 80 ? bytes.readBigUInt64BE(72) : 0n;
  return {
    version,
    namesBackingFile: bytes.readBigUInt64BE(8) !== 0n || bytes.readUInt32BE(16) !== 0,
    namesDataFile: (incompatible & externalDataFile) !== 0n,
    encrypted: bytes.readUInt32BE(32) !== 0,
    virtualSizeBytes: bytes.readBigUInt64BE(24),
  };
}
