import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readQcow2Header } from './qcow2-header.ts';

function header(over: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(104);
  bytes.writeUInt32BE(0x514649fb, 0);
  bytes.writeUInt32BE(3, 4);
  bytes.writeBigUInt64BE(2n ** 30n, 24);
  over(bytes);
  return bytes;
}

describe('readQcow2Header', () => {
  it('reads a plain one', () => {
    expect(readQcow2Header(header())).toEqual({
      version: 3,
      namesBackingFile: false,
      namesDataFile: false,
      encrypted: false,
      virtualSizeBytes: 2n ** 30n,
    });
  });
  it('sees backing file, data file and encryption', () => {
    expect(readQcow2Header(header((bytes) => bytes.writeBigUInt64BE(200n, 8)))?.namesBackingFile).toBe(true);
    expect(readQcow2Header(header((bytes) => bytes.writeUInt32BE(4, 16)))?.namesBackingFile).toBe(true);
    expect(readQcow2Header(header((bytes) => bytes.writeBigUInt64BE(4n, 72)))?.namesDataFile).toBe(true);
    expect(readQcow2Header(header((bytes) => bytes.writeUInt32BE(2, 32)))?.encrypted).toBe(true);
  });
  it('never throws on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => void readQcow2Header(Buffer.from(bytes))));
    fc.assert(fc.property(fc.nat(103), (length) => void readQcow2Header(header().subarray(0, length))));
  });
});
