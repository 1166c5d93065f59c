const clusterBits = 16;
const clusterBytes = 2 ** clusterBits;
/** Of an L2 table, which is one cluster of eight bytes an entry. */
const bytesPerTable = (clusterBytes / 8) * clusterBytes;
const headerBytes = 104;

/**
 * The file of a qcow2 (version 3) of at least this size in which nothing was ever written: header, table of reference counts, their block, and a first table without an entry. Source: QEMU, docs/interop/qcow2.
 */
export function emptyQcow2(sizeBytes: number): Buffer {
  const size = Math.ceil(sizeBytes / 512) * 512;
  const tables = Math.max(1, Math.ceil(size / bytesPerTable));
  const clusters = 3 + Math.ceil((tables * 8) / clusterBytes);
  const file = Buffer.alloc(clusters * clusterBytes);
  file.write('QFI\xfb', 0, 'latin1');
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(clusterBits, 20);
  file.writeBigUInt64BE(BigInt(size), 24);
  file.writeUInt32BE(tables, 36);
  file.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  file.writeBigUInt64BE(BigInt(clusterBytes), 48);
  file.writeUInt32BE(1, 56);
  // Reference counts of sixteen bits.
  file.writeUInt32BE(4, 96);
  file.writeUInt32BE(headerBytes, 100);
  file.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < clusters; cluster += 1) file.writeUInt16BE(1, 2 * clusterBytes + 2 * cluster);
  return file;
}
