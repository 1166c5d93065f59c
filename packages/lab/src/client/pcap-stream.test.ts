import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseHeartbeat } from './heartbeat.ts';
import { PcapStream, udpPayload } from './pcap-stream.ts';

const text = 'godwit1 52928fcf72a874aa 20843 22644690\n';

function udp(payload: string): Buffer {
  const packet = Buffer.alloc(28 + payload.length);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt8(17, 9);
  packet.writeUInt16BE(9100, 22);
  packet.writeUInt16BE(8 + payload.length, 24);
  packet.write(payload, 28);
  return packet;
}

function capture(
  records: readonly { readonly seconds: number; readonly nanoseconds: number; readonly index: number; readonly packet: Buffer }[],
): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d, 0);
  header.writeUInt32LE(276, 20);
  const parts = records.map(({ seconds, nanoseconds, index, packet }) => {
    const record = Buffer.alloc(16 + 20);
    record.writeUInt32LE(seconds, 0);
    record.writeUInt32LE(nanoseconds, 4);
    record.writeUInt32LE(20 + packet.length, 8);
    record.writeInt32BE(index, 16 + 4);
    record.write('525400000011', 16 + 12, 'hex');
    return Buffer.concat([record, packet]);
  });
  return Buffer.concat([header, ...parts]);
}

test('frames come out whole and in order however the bytes arrive', () => {
  const bytes = capture([
    { seconds: 1_795_411_897, nanoseconds: 250_000_000, index: 3, packet: udp(text) },
    { seconds: 1_795_411_898, nanoseconds: 1, index: 4, packet: udp('x') },
  ]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sizes) => {
      const stream = new PcapStream();
      const frames = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        frames.push(...stream.push(bytes.subarray(at, at + size)));
        at += size;
      }
      expect(frames.map((frame) => frame.interfaceIndex)).toEqual([3, 4]);
      expect(frames[0]).toMatchObject({ atMs: 1_795_411_897_250, senderMac: '52:54:00:00:00:11' });
      expect(parseHeartbeat(udpPayload(frames[0]?.packet ?? Buffer.alloc(0)) ?? Buffer.alloc(0))).toEqual({
        nonce: '52928fcf72a874aa',
        counter: 20843,
        guestUs: 22644690,
      });
    }),
  );
});

test('a capture of another link type is refused', () => {
  const bytes = capture([]);
  bytes.writeUInt32LE(1, 20);
  expect(() => new PcapStream().push(bytes)).toThrow(/link type 1/);
});

test('what is not a whole datagram or heartbeat is nothing', () => {
  expect(udpPayload(udp(text).subarray(0, 40))).toBeUndefined();
  const fragment = udp(text);
  fragment.writeUInt16BE(0x2000, 6);
  expect(udpPayload(fragment)).toBeUndefined();
  for (const bad of ['', 'godwit1 52928fcf72a874aa 1', `${text}x`, text.replace('52', 'zz')])
    expect(parseHeartbeat(Buffer.from(bad))).toBeUndefined();
});
