import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { qcow2Refusal, readQcow2Header } from './qcow2-header.ts';

/** A plain version 3 header of a 1 GiB image with 64 KiB clusters. */
function plain(): Buffer {
  const head = Buffer.alloc(104);
  head.writeUInt32BE(0x514649fb, 0);
  head.writeUInt32BE(3, 4);
  head.writeUInt32BE(16, 20);
  head.writeBigUInt64BE(2n ** 30n, 24);
  return head;
}
const refusal = (change: (head: Buffer) => void, backingAllowed = false): string | null => {
  const head = plain();
  change(head);
  return qcow2Refusal(readQcow2Header(head), backingAllowed);
};

describe('a qcow2 header', () => {
  test('of a plain image passes', () => {
    expect(readQcow2Header(plain())).toMatchObject({ version: 3, virtualSizeBytes: 2 ** 30 });
    expect(refusal(() => undefined)).toBeNull();
  });

  test.each([
    ['backing file', (head: Buffer): unknown => head.writeBigUInt64BE(104n, 8), /backing file/],
    ['external data file', (head: Buffer): unknown => head.writeBigUInt64BE(4n, 72), /data file/],
    ['encryption', (head: Buffer): unknown => head.writeUInt32BE(2, 32), /encrypted/],
    ['corruption', (head: Buffer): unknown => head.writeBigUInt64BE(2n, 72), /corrupt/],
    ['an unknown feature', (head: Buffer): unknown => head.writeBigUInt64BE(1n << 40n, 72), /unknown/],
  ])('with %s is refused', (_what, change, reason) => {
    expect(refusal((head) => void change(head))).toMatch(reason);
  });

  test('only a backing file may be allowed', () => {
    expect(refusal((head) => void head.writeBigUInt64BE(104n, 8), true)).toBeNull();
    expect(refusal((head) => void head.writeBigUInt64BE(4n, 72), true)).toMatch(/data file/);
  });

  test('made of any bytes is read or refused with a reason, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), fc.boolean(), (bytes, marked) => {
        const head = Buffer.from(bytes);
        if (marked && head.length >= 4) head.writeUInt32BE(0x514649fb, 0);
        try {
          expect(Number.isSafeInteger(readQcow2Header(head).virtualSizeBytes)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
