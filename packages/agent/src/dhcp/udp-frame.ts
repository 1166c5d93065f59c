/** An Ethernet frame with a UDP datagram over IPv4. MACs with colons, addresses in dotted form. */
export type UdpFrame = {
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
};

const ipv4 = 0x08_00;
const udp = 17;

/** The datagram in a frame, or null for what is none, or only a fragment of one. Never throws; checksums are not looked at, since a tap's frames may not have them yet. */
export function readUdpFrame(frame: Buffer): UdpFrame | null {
  if (frame.length < 14 + 20 + 8 || frame.readUInt16BE(12) !== ipv4) return null;
  const ip = frame.subarray(14);
  const version = (ip[0] ?? 0) >> 4;
  const headerBytes = ((ip[0] ?? 0) & 15) * 4;
  const totalBytes = ip.readUInt16BE(2);
  if (version !== 4 || headerBytes < 20 || ip[9] !== udp || totalBytes > ip.length || totalBytes < headerBytes + 8) return null;
  if ((ip.readUInt16BE(6) & 0x3f_ff) !== 0) return null;
  const datagram = ip.subarray(headerBytes, totalBytes);
  const bytes = datagram.readUInt16BE(4);
  if (bytes < 8 || bytes > datagram.length) return null;
  return {
    destinationMac: mac(frame, 0),
    sourceMac: mac(frame, 6),
    source: [...ip.subarray(12, 16)].join('.'),
    destination: [...ip.subarray(16, 20)].join('.'),
    sourcePort: datagram.readUInt16BE(0),
    destinationPort: datagram.readUInt16BE(2),
    payload: datagram.subarray(8, bytes),
  };
}

export function writeUdpFrame(frame: UdpFrame): Buffer {
  const head = Buffer.alloc(14 + 20 + 8);
  macBytes(frame.destinationMac).copy(head, 0);
  macBytes(frame.sourceMac).copy(head, 6);
  head.writeUInt16BE(ipv4, 12);
  const ip = head.subarray(14, 34);
  ip[0] = 0x45;
  ip[1] = 0x10;
  ip.writeUInt16BE(28 + frame.payload.length, 2);
  ip[8] = 64;
  ip[9] = udp;
  Buffer.from(frame.source.split('.').map(Number)).copy(ip, 12);
  Buffer.from(frame.destination.split('.').map(Number)).copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  head.writeUInt16BE(frame.sourcePort, 34);
  head.writeUInt16BE(frame.destinationPort, 36);
  // UDP's own checksum stays 0: none, which IPv4 allows.
  head.writeUInt16BE(8 + frame.payload.length, 38);
  return Buffer.concat([head, frame.payload]);
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xff_ff) sum = (sum & 0xff_ff) + (sum >> 16);
  return ~sum & 0xff_ff;
}

const mac = (frame: Buffer, at: number): string =>
  [...frame.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
const macBytes = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
