/**
 * What a qcow2 header says, read by ourselves: asking QEMU's own tools about an untrusted image makes them open the files it names
 * (CVE-2024-4467: an external data file may be any file, or a network address). Layout: QEMU docs/interop/qcow2.txt.
 */
export type Qcow2Header = {
  readonly version: number;
  readonly virtualSizeBytes: number;
  readonly clusterBits: number;
  readonly encrypted: boolean;
  readonly hasBackingFile: boolean;
  readonly hasDataFile: boolean;
  readonly corrupt: boolean;
  /** Incompatible features that this code does not know. */
  readonly unknownFeatures: bigint;
};

/** Bytes that readQcow2Header needs. */
export const qcow2HeaderBytes = 104;

const magic = 0x51_46_49_fb;
/** Incompatible feature bits of version 3: dirty, corrupt, external data file, compression type, extended L2. */
const bit = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const known = bit.dirty | bit.corrupt | bit.dataFile | bit.compression | bit.extendedL2;

export const isQcow2 = (head: Buffer): boolean => head.length >= 4 && head.readUInt32BE(0) === magic;

/** Throws RangeError with the reason when these bytes are no complete qcow2 header of version 2 or 3. */
export function readQcow2Header(head: Buffer): Qcow2Header {
  if (!isQcow2(head)) throw new RangeError('it does not begin with the mark of a qcow2 image');
  if (head.length < 72) throw new RangeError('it ends within its header');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new RangeError(`its version ${version} is unknown`);
  if (version === 3 && head.length < qcow2HeaderBytes) throw new RangeError('it ends within its header');
  const size = head.readBigUInt64BE(24);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError(`its virtual size ${size} is beyond any disk`);
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw new RangeError(`its cluster size 2^${clusterBits} is not allowed`);
  const incompatible = version === 3 ? head.readBigUInt64BE(72) : 0n;
  return {
    version,
    virtualSizeBytes: Number(size),
    clusterBits,
    encrypted: head.readUInt32BE(32) !== 0,
    hasBackingFile: head.readBigUInt64BE(8) !== 0n,
    hasDataFile: (incompatible & bit.dataFile) !== 0n,
    corrupt: (incompatible & bit.corrupt) !== 0n,
    unknownFeatures: incompatible & ~known,
  };
}

/** Why a guest must not be given this image, or null. `backingAllowed`: for overlays that we made ourselves. */
export function qcow2Refusal(header: Qcow2Header, backingAllowed: boolean): string | null {
  if (header.hasBackingFile && !backingAllowed) return 'it names a backing file, which could be any file of the host';
  if (header.hasDataFile) return 'it names an external data file, which could be any file of the host';
  if (header.encrypted) return 'it is encrypted';
  if (header.corrupt) return 'it is marked corrupt';
  if (header.unknownFeatures !== 0n) return `it needs features that are unknown here (0x${header.unknownFeatures.toString(16)})`;
  return null;
}
